//! The reader played through the public HTTP API, as a script of an integrator would.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::stack::wait_until;

/// A signed-in reader.
#[derive(Clone, Debug)]
pub struct Reader {
    client: Client,
    base: String,
    token: String,
    password: String,
}

/// An answer of the API: its status, entity tag and JSON body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// The `ETag` header, quotes included.
    pub etag: Option<String>,
    /// The body, or null when there was none.
    pub body: Value,
}

impl Answer {
    /// The body, when the request succeeded.
    ///
    /// # Errors
    /// When it did not; the message carries the problem.
    pub fn ok(self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            Ok(self.body)
        } else {
            bail!("the gateway answered {}: {}", self.status, self.body)
        }
    }
}

impl Reader {
    /// Exchanges a password for a token.
    ///
    /// # Errors
    /// When the gateway cannot be reached or refuses.
    pub async fn sign_in(base: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(60)).build()?;
        let mut reader = Self {
            client,
            base: base.to_owned(),
            token: String::new(),
            password: password.to_owned(),
        };
        let answer = reader
            .send(
                Method::POST,
                "/api/v1/token",
                None,
                Some(json!({"user": user, "password": password})),
            )
            .await?
            .ok()?;
        reader.token = text(&answer, "token")?;
        Ok(reader)
    }

    /// The same reader, over connections of his own that nobody keeps.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn apart(&self) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(60));
        Ok(Self {
            client: client.pool_max_idle_per_host(0).build()?,
            ..self.clone()
        })
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Sends a request; `if_match` is an entity tag or `*` for "must not exist yet".
    ///
    /// # Errors
    /// When the gateway cannot be reached or its answer is no JSON.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        if_match: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(tag) = if_match {
            request = request.header(
                if tag == "*" {
                    "If-None-Match"
                } else {
                    "If-Match"
                },
                tag,
            );
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("asking for {path}"))?;
        let etag = response
            .headers()
            .get("etag")
            .and_then(|tag| tag.to_str().ok())
            .map(str::to_owned);
        let status = response.status();
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or(Value::Null)
        };
        Ok(Answer { status, etag, body })
    }

    /// `GET path` as bytes, with the content type they came under.
    ///
    /// # Errors
    /// When the gateway cannot be reached.
    pub async fn bytes(
        &self,
        path: &str,
        accept: &str,
    ) -> anyhow::Result<(StatusCode, String, Vec<u8>)> {
        let request = self
            .client
            .get(format!("{}{path}", self.base))
            .header("Accept", accept);
        let response = request
            .bearer_auth(&self.token)
            .send()
            .await
            .with_context(|| format!("asking for {path}"))?;
        let status = response.status();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((status, kind, response.bytes().await?.to_vec()))
    }

    /// The object that WADO-RS has at `path`, as a Part 10 file in its own transfer syntax; none while there is no such object.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or its answer is no multipart with one part.
    pub async fn object(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
        let (status, kind, body) = self.bytes(path, accept).await?;
        // gone is answered like never there (410); anything else says nothing of the object
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        ensure!(status.is_success(), "{path}: {status}");
        let part = only_part(&kind, &body);
        let part = part.context("the answer is no multipart with one part")?;
        Ok(Some(part.to_vec()))
    }

    /// `GET path`.
    ///
    /// # Errors
    /// As [`Reader::send`], and when the answer is no success.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None, None).await?.ok()
    }

    /// `POST path`.
    ///
    /// # Errors
    /// As [`Reader::send`], and when the answer is no success.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, None, Some(body)).await?.ok()
    }

    /// Waits until the worklist shows an unclaimed task that contains `study` and is ready to be read.
    ///
    /// # Errors
    /// When there is none within `limit`.
    pub async fn wait_ready(&self, study: &str, limit: Duration) -> anyhow::Result<Task> {
        wait_until(
            &format!("study {study} to be ready on the worklist"),
            limit,
            async || {
                let list = self.get("/api/v1/worklist").await?;
                Ok(find_task(&list, study).filter(|task| task.readiness == "READY"))
            },
        )
        .await
    }

    /// Claims a task.
    ///
    /// # Errors
    /// When somebody else holds it.
    pub async fn claim(&self, task: &Task) -> anyhow::Result<Value> {
        self.post(
            &format!("/api/v1/workitems/{}/claim", task.workitem),
            json!({}),
        )
        .await
    }

    /// Writes the draft of a case, over whatever is there.
    ///
    /// # Errors
    /// When the gateway refuses it.
    pub async fn write_draft(&self, case: &str, content: Value) -> anyhow::Result<Value> {
        let path = format!("/api/v1/cases/{case}/draft");
        let now = self.send(Method::GET, &path, None, None).await?;
        let tag = if now.status.is_success() {
            now.etag.clone()
        } else {
            None
        };
        self.send(
            Method::PUT,
            &path,
            Some(tag.as_deref().unwrap_or("*")),
            Some(content),
        )
        .await?
        .ok()
    }

    /// Previews a case as it would be signed.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn preview(&self, case: &str, status: &str) -> anyhow::Result<Value> {
        self.post(
            &format!("/api/v1/cases/{case}/preview"),
            json!({"status": status}),
        )
        .await
    }

    /// Signs what a preview showed; unlocks the signing key when the gateway says that it is locked, as the page does.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or does not unlock the key.
    pub async fn sign(&self, case: &str, status: &str, preview: &Value) -> anyhow::Result<Answer> {
        let body = json!({
            "status": status,
            "draft_version": preview.get("draft_version"),
            "manifest_version": preview.get("manifest_version"),
            "identity_version": preview.get("identity_version"),
            "acknowledged_withheld": true,
        });
        let path = format!("/api/v1/cases/{case}/sign");
        let sign = async || {
            self.send(Method::POST, &path, None, Some(body.clone()))
                .await
        };
        let answer = sign().await?;
        let kind = answer.body.get("type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| kind.ends_with("signing-key-locked")) {
            return Ok(answer);
        }
        self.unlock().await?;
        sign().await
    }

    /// Unlocks the signing key of this session.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn unlock(&self) -> anyhow::Result<()> {
        let password = json!({"password": self.password});
        self.post("/api/v1/signing-key/unlock", password).await?;
        Ok(())
    }

    /// Waits until the newest report of a case stands in `state` (such as `delivered`).
    ///
    /// # Errors
    /// When it does not within `limit`; the message says where it stood.
    pub async fn wait_delivery(
        &self,
        case: &str,
        state: &str,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let reached = wait_until(&format!("the report to be {state}"), limit, async || {
            let page = self.get(&format!("/api/v1/cases/{case}")).await?;
            last = newest_delivery(&page);
            Ok((last.get("state").and_then(Value::as_str) == Some(state)).then(|| last.clone()))
        })
        .await;
        reached.with_context(|| format!("it stood at {last}"))
    }
}

/// A line of the worklist.
#[derive(Clone, Debug)]
pub struct Task {
    /// UID of the workitem.
    pub workitem: String,
    /// The case it belongs to.
    pub case: String,
    /// The case's word.
    pub code: String,
    /// INCOMPLETE, READY or UNAVAILABLE.
    pub readiness: String,
    /// The whole line.
    pub line: Value,
}

/// The task that contains `study`.
#[must_use]
pub fn find_task(list: &Value, study: &str) -> Option<Task> {
    let of_study = |line: &&Value| {
        let studies = line.get("studies").and_then(Value::as_array);
        studies.is_some_and(|all| {
            all.iter()
                .any(|one| one.get("uid").and_then(Value::as_str) == Some(study))
        })
    };
    let line = list.get("items")?.as_array()?.iter().find(of_study)?;
    let word = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Task {
        workitem: word("workitem")?,
        case: word("case")?,
        code: word("code")?,
        readiness: word("readiness")?,
        line: line.clone(),
    })
}

/// How many instances of a study a worklist counts.
#[must_use]
pub fn instances(list: &Value, study: &str) -> u64 {
    let items = list.get("items").and_then(Value::as_array);
    let of = |item: &Value| {
        let studies = item.get("studies")?.as_array()?;
        let uid = |it: &&Value| it.get("uid").and_then(Value::as_str) == Some(study);
        studies.iter().find(uid)?.get("instances")?.as_u64()
    };
    items.into_iter().flatten().find_map(of).unwrap_or(0)
}

/// The task that contains `study` and that nobody has finished.
#[must_use]
pub fn find_open_task(list: &Value, study: &str) -> Option<Task> {
    find_task(list, study)
        .filter(|task| task.line.get("state").and_then(Value::as_str) == Some("SCHEDULED"))
}

fn newest_delivery(page: &Value) -> Value {
    let reports = page.get("reports").and_then(Value::as_array);
    let newest = reports.and_then(|all| {
        all.iter()
            .max_by_key(|report| report.get("version").and_then(Value::as_i64))
    });
    newest
        .and_then(|report| report.get("delivery"))
        .cloned()
        .unwrap_or_default()
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("the answer has no {name}"))
}

/// The one part of a multipart body (RFC 2046).
#[must_use]
pub fn only_part<'a>(kind: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let boundary = kind
        .split("boundary=")
        .nth(1)?
        .split(';')
        .next()?
        .trim_matches('"');
    let head = body.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let end = format!("\r\n--{boundary}--");
    let tail = body
        .windows(end.len())
        .rposition(|window| window == end.as_bytes())?;
    body.get(head..tail)
}

/// A report that a person could have dictated about the sample study.
#[must_use]
pub fn sample_report() -> Value {
    json!({
        "language": "en",
        "procedure": "CT of the head without contrast medium. TEST phantom.",
        "history": "Fall from standing height, headache, vomiting.",
        "comparison": "None available.",
        "findings": "Hyperdense collection of 24 x 30 mm in the left frontoparietal white matter with surrounding oedema. \
                     No midline shift. Basal cisterns open. No fracture.",
        "impression": "Acute intraparenchymal haemorrhage, left frontoparietal.",
        "recommendation": "Neurosurgical opinion; follow-up CT within 6 hours.",
    })
}
