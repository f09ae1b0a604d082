//! The decoding child as a real process of this program: it renders what is sound, and what is hostile harms nothing but itself.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers may fail and say so"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use causeway_gateway::http::dicomweb::Renderer;
use causeway_gateway::http::dicomweb::render::{Form, Job, Limits, RenderError};

fn renderer() -> Renderer {
    Renderer::new(
        env!("CARGO_BIN_EXE_causeway-gateway").into(),
        Limits::default(),
    )
}

/// A public file; none, said loudly, where they are missing.
fn public(name: &str) -> Option<Bytes> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = ["../../shared/dicom", "../../../shared/dicom"]
        .iter()
        .map(|up| root.join(up).join(name))
        .find(|path: &PathBuf| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no public test data for {name}");
        assert!(
            option_env!("CI").is_none(),
            "CI must have the public test data"
        );
    }
    found.map(|path| Bytes::from(std::fs::read(path).unwrap()))
}

fn job(form: Form, side: u32) -> Job {
    Job {
        frame: 1,
        alone: false,
        form,
        width: Some(side),
        height: Some(side),
        window: Some((40.0, 400.0)),
    }
}

async fn run(renderer: &Renderer, job: &Job, file: Bytes) -> Result<Bytes, RenderError> {
    let slot = renderer.slot().await?;
    renderer.run(slot, job, file, Bytes::new()).await
}

#[tokio::test]
async fn a_slice_is_rendered_in_a_child() {
    let Some(file) = public(
        "syntaxes/ct-one-image-all/CTImage_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
    ) else {
        return;
    };
    for (form, begins) in [(Form::Jpeg, &[0xFF, 0xD8][..]), (Form::Png, b"\x89PNG")] {
        let image = run(&renderer(), &job(form, 32), file.clone())
            .await
            .unwrap();
        assert!(image.starts_with(begins));
    }
    let samples = Job {
        form: Form::Samples,
        ..job(Form::Png, 1)
    };
    let samples = run(&renderer(), &samples, file).await.unwrap();
    assert_eq!(samples.len() % 2, 0);
}

#[tokio::test]
async fn hostile_files_end_the_child_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/dicom/bad/orthanc");
    let files: Vec<PathBuf> = std::fs::read_dir(&root)
        .map(|all| all.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    if files.is_empty() {
        assert!(public("bad/orthanc/none").is_none());
    }
    for path in files {
        let file = Bytes::from(std::fs::read(&path).unwrap());
        let answer = run(&renderer(), &job(Form::Png, 64), file).await;
        let said = match &answer {
            Ok(image) => format!("{} bytes", image.len()),
            Err(error) => error.to_string(),
        };
        eprintln!("{}: {said}", path.display());
        assert!(
            !matches!(answer, Err(RenderError::Failed(_))),
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn a_child_that_does_not_answer_is_given_up() {
    let limits = Limits {
        timeout_s: 1,
        ..Limits::default()
    };
    // `yes` answers without end: more than may be taken
    let endless = Renderer::new("/usr/bin/yes".into(), limits);
    let answer = run(&endless, &job(Form::Png, 64), Bytes::new()).await;
    assert!(matches!(answer, Err(RenderError::Invalid)));
    let none = Renderer::new("/nonexistent".into(), limits);
    let answer = run(&none, &job(Form::Png, 64), Bytes::new()).await;
    assert!(matches!(answer, Err(RenderError::Failed(_))));
}
