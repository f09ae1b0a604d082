//! The site page played by a person with a browser that runs no script: signs in, opens pages, fills in and sends their forms.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};

use crate::stack::{RADIOGRAPHER, Stack};

/// A signed-in radiographer.
#[derive(Clone, Debug)]
pub struct SitePage {
    client: Client,
    base: String,
}

impl SitePage {
    /// Signs in on the site page of a stack.
    ///
    /// # Errors
    /// When the page cannot be reached or refuses.
    pub async fn sign_in(stack: &Stack) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(Duration::from_secs(60))
            .cookie_store(true)
            .build()?;
        let page = Self {
            client,
            base: stack.page(),
        };
        let fields = [
            ("name", RADIOGRAPHER),
            ("password", stack.page_password.as_str()),
            ("to", "/work"),
        ];
        let said = page.send("/sign-in", "/sign-in", &fields).await?;
        ensure!(said.contains("/sign-out"), "not signed in: {said}");
        Ok(page)
    }

    /// The page at `path`, as it is written in HTML.
    ///
    /// # Errors
    /// When it is not shown.
    pub async fn open(&self, path: &str) -> anyhow::Result<String> {
        let asked = self.client.get(format!("{}{path}", self.base));
        let answer = asked
            .send()
            .await
            .with_context(|| format!("opening {path}"))?;
        let status = answer.status();
        let said = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {said}");
        Ok(said)
    }

    /// Sends a form of the page `from` to `to`, and answers what is shown then.
    ///
    /// # Errors
    /// When the form is refused.
    pub async fn send(
        &self,
        from: &str,
        to: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let shown = self.open(from).await?;
        let word = field(&shown, "form").with_context(|| format!("{from} has no form"))?;
        let mut form = Url::parse(&self.base)?;
        form.query_pairs_mut()
            .append_pair("form", word)
            .extend_pairs(fields);
        let answer = self
            .client
            .post(format!("{}{to}", self.base))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
            .send()
            .await
            .with_context(|| format!("sending a form to {to}"))?;
        let status = answer.status();
        let said = answer.text().await?;
        ensure!(status.is_success(), "{to}: {status}: {said}");
        Ok(said)
    }
}

/// The value of the first field with this name that a page fills in itself.
#[must_use]
pub fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next()
}
