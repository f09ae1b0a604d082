//! Programs that are no decoders: one that is killed, one that hangs, one that never ends to speak, one that lies. Each costs one frame.

use super::*;

fn decoder(program: &str, arguments: &[&str], run: Duration) -> Decoder {
    let limits = Limits {
        run,
        ..Limits::default()
    };
    Decoder::of(program.into(), arguments, limits)
}

fn layout() -> Layout {
    Layout {
        rows: 4,
        columns: 4,
        frames: 1,
        samples: 1,
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: "MONOCHROME2".to_owned(),
        ..Layout::default()
    }
}

/// What becomes of a frame of so many bytes, asked for as samples and as a picture.
async fn asked(decoder: &Decoder, length: usize) -> [DecodeError; 2] {
    let layout = layout();
    let frame = Frame {
        syntax: "1.2.840.10008.1.2.5",
        layout: &layout,
        palette: &[],
        bytes: vec![7; length].into(),
    };
    [
        decoder.frame(frame.clone()).await.unwrap_err(),
        decoder.picture(frame, View::default()).await.unwrap_err(),
    ]
}

fn all_invalid(errors: &[DecodeError]) {
    for error in errors {
        assert!(matches!(error, DecodeError::Invalid), "{error}");
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_child_that_is_killed_costs_one_frame() {
    let killed = decoder("/bin/sh", &["-c", "read line; kill -9 $$"], LONG);
    all_invalid(&asked(&killed, 100).await);
    // nor does one that reads nothing and ends hold anybody up
    let deaf = decoder("/bin/sh", &["-c", "exit 0"], LONG);
    all_invalid(&asked(&deaf, 4 << 20).await);
}

#[tokio::test]
async fn a_child_that_hangs_is_ended() {
    let short = Duration::from_millis(200);
    let busy = decoder("/bin/sh", &["-c", "while :; do :; done"], short);
    all_invalid(&asked(&busy, 4 << 20).await);
    let silent = decoder("/usr/bin/tail", &["-f", "/dev/null"], short);
    all_invalid(&asked(&silent, 100).await);
}

#[tokio::test]
async fn a_child_that_speaks_without_end_or_lies_is_not_believed() {
    all_invalid(&asked(&decoder("/usr/bin/yes", &[], LONG), 100).await);
    // its own input is no picture, and of another length than the samples
    all_invalid(&asked(&decoder("/bin/cat", &[], LONG), 4 << 20).await);
    let wrong = "head -c 16 /dev/zero; cat >/dev/null; exit 3";
    for error in asked(&decoder("/bin/sh", &["-c", wrong], LONG), 100).await {
        assert!(matches!(error, DecodeError::Unsupported), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said() {
    for error in asked(&decoder("/nowhere/decoder", &[], LONG), 100).await {
        assert!(matches!(error, DecodeError::Failed(_)), "{error}");
    }
}

#[tokio::test]
async fn no_more_run_than_may_and_who_waits_too_long_is_told() {
    let limits = Limits {
        run: LONG,
        wait: Duration::from_millis(100),
        parallel: 1,
    };
    let hanging = Decoder::of("/usr/bin/tail".into(), &["-f", "/dev/null"], limits);
    let layout = layout();
    let frame = Frame {
        syntax: "1.2.840.10008.1.2.5",
        layout: &layout,
        palette: &[],
        bytes: Bytes::new(),
    };
    // the first has the turn for as long as it is not dropped
    let mut first = Box::pin(hanging.frame(frame.clone()));
    let second = tokio::select! {
        biased;
        _ = &mut first => panic!("it hangs"),
        second = hanging.frame(frame) => second,
    };
    assert!(matches!(second, Err(DecodeError::Busy)));
}
