//! The packaged viewer in memory: read once at the start from the tar that `gateway/viewer/package.mjs` wrote.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use axum::http::HeaderValue;
use bytes::Bytes;
use causeway_proto::digest::Digest;
use serde::Deserialize;
use thiserror::Error;

/// The layout of the archive that this program reads.
const FORMAT: u32 = 2;
/// More than this is not the viewer: one file, and all of them.
const FILE_MAX_BYTES: u64 = 32 << 20;
const ALL_MAX_BYTES: usize = 128 << 20;

/// The packaged viewer could not be taken into memory.
#[derive(Debug, Error)]
pub enum OpenViewerError {
    /// The archive could not be read.
    #[error("the packaged viewer {path} could not be read")]
    Read {
        /// The configured archive.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The archive is not one of ours, or of another time.
    #[error(
        "{path} is not a viewer that this gateway can serve ({what}); package it again with gateway/viewer/package.mjs"
    )]
    Foreign {
        /// The configured archive.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
}

/// One file of the viewer as it goes out.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) gzipped: bool,
    pub(super) etag: HeaderValue,
}

/// The viewer's files and the policies of its pages.
#[derive(Debug)]
pub struct Viewer {
    files: HashMap<String, Stored>,
    page: Bytes,
    page_policy: HeaderValue,
    worker_policy: HeaderValue,
    decoder_policy: HeaderValue,
    decoders: Vec<String>,
}

#[derive(Deserialize)]
struct Facts {
    format: u32,
    inline_scripts: Vec<String>,
    decode_workers: Vec<String>,
}

impl Viewer {
    /// Reads the archive at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is not an archive of the layout this program knows.
    pub fn open(path: &Path) -> Result<Self, OpenViewerError> {
        let read = |source| OpenViewerError::Read {
            path: path.to_owned(),
            source,
        };
        let foreign = |what: &str| OpenViewerError::Foreign {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let mut facts = None;
        let mut page = None;
        let mut files = HashMap::new();
        let mut total = 0_usize;
        let mut archive = tar::Archive::new(File::open(path).map_err(read)?);
        for entry in archive.entries().map_err(read)? {
            let mut entry = entry.map_err(read)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut bytes = Vec::new();
            entry
                .by_ref()
                .take(FILE_MAX_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(read)?;
            total = total.saturating_add(bytes.len());
            if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_MAX_BYTES)
                || total > ALL_MAX_BYTES
            {
                return Err(foreign("it is larger than any viewer"));
            }
            match name.as_str() {
                "facts.json" => facts = serde_json::from_slice::<Facts>(&bytes).ok(),
                "files/index.html" => page = Some(Bytes::from(bytes)),
                _ => keep(&mut files, &name, bytes),
            }
        }
        let facts = facts.ok_or_else(|| foreign("it does not begin with its facts"))?;
        if facts.format != FORMAT {
            return Err(foreign("its layout is of another version"));
        }
        let page = page.ok_or_else(|| foreign("it has no index.html"))?;
        let page_policy = policy(&facts.inline_scripts.join(" "))
            .ok_or_else(|| foreign("its script hashes are not header text"))?;
        let worker_policy = policy("").ok_or_else(|| foreign("it has no policy"))?;
        let decoder_policy = policy("'unsafe-eval'").ok_or_else(|| foreign("it has no policy"))?;
        Ok(Self {
            files,
            page,
            page_policy,
            worker_policy,
            decoder_policy,
            decoders: facts.decode_workers,
        })
    }

    pub(super) fn file(&self, path: &str) -> Option<&Stored> {
        self.files.get(path)
    }

    pub(super) fn page(&self) -> &Bytes {
        &self.page
    }

    pub(super) fn page_policy(&self) -> &HeaderValue {
        &self.page_policy
    }

    /// What this file may do when it is started as a worker. The image decoders build functions from text; only theirs may.
    pub(super) fn worker_policy(&self, path: &str) -> &HeaderValue {
        if self.decoders.iter().any(|name| name == path) {
            &self.decoder_policy
        } else {
            &self.worker_policy
        }
    }
}

fn keep(files: &mut HashMap<String, Stored>, name: &str, bytes: Vec<u8>) {
    let Some(name) = name.strip_prefix("files/") else {
        return;
    };
    let digest = Digest::of(&bytes);
    let Ok(etag) = HeaderValue::try_from(format!("\"{digest}\"")) else {
        return;
    };
    let (name, gzipped) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    files.insert(
        name.to_owned(),
        Stored {
            bytes: Bytes::from(bytes),
            gzipped,
            etag,
        },
    );
}

/// What the viewer may do: its own files, WebAssembly codecs, workers made from blobs, styles that its components write; nobody else's
/// server, shown only inside our own pages.
fn policy(more_scripts: &str) -> Option<HeaderValue> {
    let text = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob: {more_scripts}; worker-src 'self' blob:; \
         img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; \
         font-src 'self' data:; manifest-src 'self'; object-src 'self' blob:; frame-src 'self' blob:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'"
    );
    HeaderValue::try_from(text).ok()
}
