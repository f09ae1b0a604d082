//! Other people's programs that judge our documents. A missing one is said aloud, and is an error where CI=true.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program said, on both streams, and its exit code.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

/// Runs a program; `None` when it is not installed.
pub(super) fn run(program: &str, arguments: &[&str]) -> Option<Said> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(Said {
            code: output.status.code(),
            text: [output.stdout, output.stderr]
                .map(|stream| String::from_utf8_lossy(&stream).into_owned())
                .concat(),
        }),
        Err(error) => {
            missing(&format!("{program}: {error}"));
            None
        }
    }
}

/// PixelMed's validator of structured reports; its own limits on XPath are lifted, which it exceeds.
pub(super) fn pixelmed(file: &Path) -> Option<Said> {
    let jar = ["/usr/share/java/pixelmed.jar"]
        .map(PathBuf::from)
        .into_iter()
        .find(|jar| jar.is_file());
    let Some(jar) = jar else {
        missing("pixelmed.jar (libpixelmed-java)");
        return None;
    };
    let path = format!("{}:/usr/share/java/*", jar.display());
    run(
        "java",
        &[
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Djdk.xml.xpathExprOpLimit=0",
            "-Djdk.xml.xpathTotalOpLimit=0",
            "-Djdk.xml.xpathExprGrpLimit=0",
            "-cp",
            &path,
            "com.pixelmed.validate.DicomSRValidator",
            "-checkcontentitemorder",
            "-checktemplateid",
            file.to_str().unwrap(),
        ],
    )
}

fn missing(what: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "not installed: {what}"
    );
    eprintln!("NOT RUN, not installed: {what}");
}
