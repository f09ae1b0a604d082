//! The transport coding on real pictures beside CharLS (JPEG-LS) of imagecodecs: one thread each, in turn; speed both ways, and ratio.

pub(crate) mod line;

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use causeway_proto::coding::{Decoder, Encoder, RECORD_MAX_BYTES, Rows};
use causeway_tests::shared;
use causeway_tests::stack::build;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::rig::{ROUNDS, Report, Series};

/// The least of so many runs counts in each round, for both.
const RUNS: u32 = 3;
/// Samples of a record, as the link has them.
const SAMPLES: usize = 256 << 10;

/// One picture, and what CharLS makes of it.
struct Picture {
    kind: String,
    raw: Vec<u8>,
    rows: Rows,
    theirs: usize,
}

/// CharLS behind a pipe.
struct Peer {
    process: Child,
    ask: ChildStdin,
    answer: Lines<BufReader<ChildStdout>>,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let Some(folder) = shared::dicom("") else {
        return Ok(());
    };
    let pictures_folder = tempfile::tempdir()?;
    let mut peer = Peer::start(&folder, pictures_folder.path())?;
    let pictures = peer.pictures().await?;
    let mut figures = Figures::new(&pictures);
    for _ in 0..ROUNDS {
        figures.theirs(&pictures, &peer.round().await?)?;
        figures.ours(&pictures)?;
    }
    drop(peer.ask);
    ensure!(peer.process.wait().await?.success(), "CharLS failed");
    figures.report().close()?;
    crate::wan::within(&["coding", "--inside"]).await
}

impl Peer {
    fn start(folder: &std::path::Path, out: &std::path::Path) -> anyhow::Result<Self> {
        let python = build::root().join("target/venv/bin/python");
        let mut process = Command::new(python)
            .arg(build::root().join("tests/bench/coding.py"))
            .args([folder, out])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting target/venv/bin/python")?;
        let ask = process.stdin.take().context("no way in")?;
        let answer = process.stdout.take().context("no way out")?;
        Ok(Self {
            process,
            ask,
            answer: BufReader::new(answer).lines(),
        })
    }

    async fn line(&mut self) -> anyhow::Result<serde_json::Value> {
        let line = self.answer.next_line().await?;
        let line = line.context("CharLS ended; `tests/run bench` installs what it needs")?;
        Ok(serde_json::from_str(&line)?)
    }

    async fn pictures(&mut self) -> anyhow::Result<Vec<Picture>> {
        let mut out = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_null() {
                ensure!(!out.is_empty(), "no picture was found");
                return Ok(out);
            }
            let (kind, file, width, bytes, step, _, theirs): (
                String,
                String,
                usize,
                usize,
                usize,
                usize,
                usize,
            ) = serde_json::from_value(line)?;
            let rows = Rows::new(width * step, step, bytes == 2).context("no such rows")?;
            out.push(Picture {
                kind,
                raw: std::fs::read(file)?,
                rows,
                theirs,
            });
        }
    }

    /// Seconds of coding and of undoing, for each picture.
    async fn round(&mut self) -> anyhow::Result<[Vec<f64>; 2]> {
        self.ask.write_all(b"\n").await?;
        Ok(serde_json::from_value(self.line().await?)?)
    }
}

/// What was taken of one kind of picture.
struct Kind {
    name: String,
    raw: f64,
    theirs: f64,
    ours: f64,
    encode: [Series; 2],
    decode: [Series; 2],
}

struct Figures(Vec<Kind>);

impl Figures {
    fn new(pictures: &[Picture]) -> Self {
        let mut kinds: Vec<Kind> = Vec::new();
        for picture in pictures {
            if kinds.last().is_none_or(|kind| kind.name != picture.kind) {
                let both = |what: &str| {
                    ["ours", "CharLS"]
                        .map(|who| Series::new(&format!("{}, {what}: {who}", picture.kind)))
                };
                kinds.push(Kind {
                    name: picture.kind.clone(),
                    raw: 0.0,
                    theirs: 0.0,
                    ours: 0.0,
                    encode: both("coding"),
                    decode: both("undoing"),
                });
            }
            if let Some(kind) = kinds.last_mut() {
                kind.raw += picture.raw.len() as f64;
                kind.theirs += picture.theirs as f64;
            }
        }
        Self(kinds)
    }

    /// Megabytes a second of each kind, of the seconds that each picture took.
    fn add(&mut self, pictures: &[Picture], seconds: &[Vec<f64>; 2], who: usize) {
        for kind in &mut self.0 {
            for (series, seconds) in [&mut kind.encode, &mut kind.decode]
                .into_iter()
                .zip(seconds)
            {
                let of_kind = pictures.iter().zip(seconds);
                let took: f64 = of_kind
                    .filter(|(picture, _)| picture.kind == kind.name)
                    .map(|(_, seconds)| seconds)
                    .sum();
                if let Some(series) = series.get_mut(who) {
                    series.values.push(kind.raw / 1e6 / took);
                }
            }
        }
    }

    fn theirs(&mut self, pictures: &[Picture], seconds: &[Vec<f64>; 2]) -> anyhow::Result<()> {
        ensure!(
            seconds.iter().all(|all| all.len() == pictures.len()),
            "CharLS missed a picture"
        );
        self.add(pictures, seconds, 1);
        Ok(())
    }

    fn ours(&mut self, pictures: &[Picture]) -> anyhow::Result<()> {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut seconds = [Vec::new(), Vec::new()];
        for kind in &mut self.0 {
            kind.ours = 0.0;
        }
        for picture in pictures {
            let (mut best, mut coded) = ([f64::INFINITY; 2], 0);
            for _ in 0..RUNS {
                let start = Instant::now();
                let records = encode(&mut encoder, picture);
                best[0] = best[0].min(start.elapsed().as_secs_f64());
                coded = records.iter().map(bytes::Bytes::len).sum();
                let start = Instant::now();
                let undone = decode(&mut decoder, &records)?;
                best[1] = best[1].min(start.elapsed().as_secs_f64());
                ensure!(
                    undone.concat() == picture.raw,
                    "{} came back changed",
                    picture.kind
                );
            }
            for (all, best) in seconds.iter_mut().zip(best) {
                all.push(best);
            }
            if let Some(kind) = self.0.iter_mut().find(|kind| kind.name == picture.kind) {
                kind.ours += coded as f64;
            }
        }
        self.add(pictures, &seconds, 0);
        Ok(())
    }

    fn report(self) -> Report {
        let title = "Transport coding beside CharLS, one thread, real pictures";
        let mut report = Report::new("coding", title);
        let speed = |both: &[Series; 2]| both[0].ratio(&both[1]);
        for kind in &self.0 {
            let what = |what: &str| format!("{}: {what}, ours : CharLS", kind.name);
            report.ratio(&what("coding speed"), speed(&kind.encode), "≥ 6 (must 3)");
            report.ratio(&what("undoing speed"), speed(&kind.decode), "≥ 8 (must 4)");
            report.ratio(
                &what("ratio"),
                kind.theirs / kind.ours,
                "≥ 0.95 (must 0.85)",
            );
            report.note(format!(
                "{}: {:.1} MB made {:.2} times smaller, by CharLS {:.2} times.",
                kind.name,
                kind.raw / 1e6,
                kind.raw / kind.ours,
                kind.raw / kind.theirs
            ));
        }
        let all = self.0.into_iter();
        report.part(
            "MB/s",
            all.flat_map(|kind| kind.encode.into_iter().chain(kind.decode)),
        );
        report.note("CT thin: the same slices with the noise of thin ones. XA was coded with loss once, CR and one MG as well: smoother than what a device sends.");
        report
    }
}

fn encode(encoder: &mut Encoder, picture: &Picture) -> Vec<bytes::Bytes> {
    let row = picture.rows.bytes();
    let rows = (SAMPLES / picture.rows.samples())
        .min(RECORD_MAX_BYTES / row)
        .max(1);
    let pieces = picture.raw.chunks(rows * row);
    pieces
        .map(|piece| encoder.record(piece, Some(picture.rows)))
        .collect()
}

fn decode(decoder: &mut Decoder, records: &[bytes::Bytes]) -> anyhow::Result<Vec<bytes::Bytes>> {
    let mut out = Vec::new();
    for record in records {
        decoder.push(record);
        while let Some(bytes) = decoder.next_bytes()? {
            out.push(bytes);
        }
    }
    Ok(out)
}
