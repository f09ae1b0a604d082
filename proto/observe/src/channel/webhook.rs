//! A POST of JSON.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy, Url};

use super::{ChannelError, LIMIT, read, secret};
use crate::config::Webhook;
use crate::telling::Telling;

/// An address that takes alarms.
#[derive(Debug)]
pub(crate) struct Post {
    client: Client,
    url: Url,
}

impl Post {
    pub(super) fn open(config: &Webhook) -> Result<Self, ChannelError> {
        // a client asks for the process-wide provider of cryptography; a second call finds the first in place
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        let wrong = |what: &str| ChannelError::Configured(what.to_owned());
        let url: Url = config.url.parse().or(Err(wrong("url is no address")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(file) = &config.authorization_file {
            let value = HeaderValue::from_str(&secret(file)?);
            let mut value = value.or(Err(wrong("authorization_file holds no header value")))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // the environment decides nothing, and whoever is asked does not say who is asked instead
        let mut builder = Client::builder()
            .timeout(LIMIT)
            .redirect(Policy::none())
            .no_proxy()
            .default_headers(headers);
        if let Some(proxy) = &config.proxy {
            let proxy = Proxy::all(proxy).or(Err(wrong("proxy is no address")))?;
            builder = builder.proxy(proxy);
        }
        if let Some(file) = &config.ca_file {
            let all = Certificate::from_pem_bundle(read(file)?.as_bytes());
            builder = builder.tls_certs_only(all.map_err(ChannelError::Webhook)?);
        }
        let client = builder.build().map_err(ChannelError::Webhook)?;
        Ok(Self { client, url })
    }

    pub(super) async fn send(&self, telling: &Telling) -> Result<(), ChannelError> {
        let body = telling.json().to_string();
        let asked = self.client.post(self.url.clone()).body(body).send().await;
        let answer = asked.map_err(|error| ChannelError::Webhook(error.without_url()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(ChannelError::Status(answer.status().as_u16()))
        }
    }
}
