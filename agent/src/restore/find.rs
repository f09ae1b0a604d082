//! The question to the PACS, and what comes back: the edge knows C-FIND, this room reads the answers.

use std::fmt;
use std::sync::Arc;

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::StudyUid;
use futures::future::BoxFuture;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The site has configured nobody to ask.
    Nobody,
    /// The identifiers of the answers, at most a few.
    Found(Vec<Dataset>),
    /// The PACS takes no such query: there is nobody to ask.
    NotOffered,
    /// The PACS answered with a failure status.
    Refused(u16),
    /// No answer; a sentence for people, without patient data.
    Failed(String),
}

/// Asks the PACS for one study (`agent::dicom::query::study`, handed in by `app`).
#[derive(Clone)]
pub struct Find(Arc<dyn Fn(StudyUid) -> BoxFuture<'static, Asked> + Send + Sync>);

impl Find {
    /// Wraps the edge's function.
    pub fn new(
        find: impl Fn(StudyUid) -> BoxFuture<'static, Asked> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    /// For a site that has configured nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::new(|_| Box::pin(async { Asked::Nobody }))
    }

    /// Asks; always answers.
    pub async fn ask(&self, study: &StudyUid) -> Asked {
        (self.0)(study.clone()).await
    }
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Find")
    }
}
