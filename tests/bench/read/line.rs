//! A client of few cycles: one keep-alive connection of HTTP/1.1, which counts the bytes of an answer and keeps little of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, bail, ensure};

/// Of a body no more than this is kept.
const KEPT: usize = 64 << 10;

/// Where to ask, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `host:port`.
    pub(crate) address: String,
    /// What stands before `/studies`.
    pub(crate) root: String,
    /// A bearer token.
    pub(crate) token: Option<String>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    place: Place,
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// Its beginning.
    pub(crate) body: Vec<u8>,
}

impl Line {
    pub(crate) fn open(place: &Place) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&place.address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            place: place.clone(),
            stream: BufReader::with_capacity(256 << 10, stream),
            buffer: vec![0; 256 << 10],
        })
    }

    /// `GET` below the root; anything but success is an error.
    pub(crate) fn get(&mut self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let mut request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n",
            self.place.root, self.place.address
        );
        if let Some(token) = &self.place.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        request.push_str("\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.text()?;
        let (mut length, mut chunked, mut closes) = (None, false, false);
        loop {
            let line = self.text()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<u64>()?),
                "transfer-encoding" => chunked = value == "chunked",
                "connection" => closes = value == "close",
                _ => {}
            }
        }
        let mut answer = Answer {
            bytes: 0,
            body: Vec::new(),
        };
        if chunked {
            self.chunks(&mut answer)?;
        } else if let Some(length) = length {
            self.take(length, &mut answer)?;
        } else {
            // RFC 9112 6.3: then the end of the connection is the end of the answer
            self.rest(&mut answer)?;
            closes = true;
        }
        let success = status
            .split(' ')
            .nth(1)
            .is_some_and(|code| code.starts_with('2'));
        ensure!(
            success,
            "{path}: {status} {}",
            String::from_utf8_lossy(&answer.body)
        );
        if closes {
            *self = Self::open(&self.place)?;
        }
        Ok(answer)
    }

    fn text(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server has closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }

    fn chunks(&mut self, answer: &mut Answer) -> anyhow::Result<()> {
        loop {
            let size = u64::from_str_radix(&self.text()?, 16).context("the size of a chunk")?;
            self.take(size, answer)?;
            self.text()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn rest(&mut self, answer: &mut Answer) -> anyhow::Result<()> {
        loop {
            let got = self.stream.read(&mut self.buffer)?;
            if got == 0 {
                return Ok(());
            }
            answer.bytes += u64::try_from(got)?;
        }
    }

    fn take(&mut self, mut left: u64, answer: &mut Answer) -> anyhow::Result<()> {
        answer.bytes += left;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left)?);
            let piece = self.buffer.get_mut(..most).context("a buffer")?;
            let got = self.stream.read(piece)?;
            ensure!(got > 0, "an answer was cut short");
            left -= u64::try_from(got)?;
            let room = KEPT.saturating_sub(answer.body.len()).min(got);
            answer
                .body
                .extend_from_slice(self.buffer.get(..room).unwrap_or_default());
        }
        Ok(())
    }
}
