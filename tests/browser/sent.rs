//! The public studies as they are sent in one go: which series they have, of which class, and how many objects in each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use causeway_tests::{sender, shared};
use dicom_dictionary_std::tags;
use dicom_object::OpenFileOptions;
use serde::Serialize;

/// One series as it was sent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Series {
    /// The SOP class of its objects.
    pub(crate) class: String,
    /// How many there are.
    pub(crate) count: usize,
    /// Whether they make a task.
    #[serde(skip)]
    pub(crate) task: bool,
}

/// Files, and what they make: study → series.
pub(crate) struct Sent {
    /// One file for each SOP Instance UID.
    pub(crate) files: Vec<PathBuf>,
    studies: BTreeMap<String, BTreeMap<String, Series>>,
}

impl Sent {
    /// For the script that looks at the pages: all studies, and which of them make a task.
    pub(crate) fn expected(&self) -> serde_json::Value {
        let task = |study: &BTreeMap<String, Series>| study.values().any(|series| series.task);
        let tasks = self.studies.iter().filter(|(_, study)| task(study));
        let tasks: Vec<&String> = tasks.map(|(uid, _)| uid).collect();
        serde_json::json!({ "tasks": tasks, "studies": self.studies })
    }
}

/// What a file is filed under.
struct Filed {
    study: String,
    series: String,
    instance: String,
    class: String,
}

/// The public studies and reports; none where they are not there. Where one UID has several contents, the first counts.
pub(crate) fn sent() -> Option<Sent> {
    let (mut files, mut studies) = (Vec::new(), BTreeMap::<_, BTreeMap<_, Series>>::new());
    let mut seen = BTreeSet::new();
    for collection in ["studies", "sr"] {
        for path in shared::files(&shared::dicom(collection)?) {
            let Some(filed) = filed(&path) else {
                continue;
            };
            if !seen.insert(filed.instance) {
                continue;
            }
            files.push(path);
            let study = studies.entry(filed.study).or_default();
            let series = study.entry(filed.series).or_default();
            series.task = makes_task(&filed.class);
            series.class = filed.class;
            series.count += 1;
        }
    }
    Some(Sent { files, studies })
}

/// A study of nothing but structured reports, key objects, presentation states or documents makes no task (P4).
fn makes_task(class: &str) -> bool {
    let none = [".88.", ".104.", ".11."];
    let rest = class.strip_prefix("1.2.840.10008.5.1.4.1.1").unwrap_or("");
    !rest.is_empty() && !none.iter().any(|start| rest.starts_with(start))
}

fn filed(path: &Path) -> Option<Filed> {
    let dataset = sender::dataset(path).ok()?;
    dataset.named.then_some(())?;
    let (class, instance) = (&dataset.class, &dataset.instance);
    let file = sender::file::part10(class, instance, &dataset.syntax, &dataset.bytes).ok()?;
    let object = OpenFileOptions::new()
        .read_until(tags::PIXEL_DATA)
        .from_reader(file.as_slice())
        .ok()?;
    let uid = |tag| {
        let text = object.element(tag).ok()?.to_str().ok()?.into_owned();
        let uid = text.parse::<causeway_proto::ids::SopInstanceUid>().ok()?;
        Some(uid.to_string())
    };
    Some(Filed {
        study: uid(tags::STUDY_INSTANCE_UID)?,
        series: uid(tags::SERIES_INSTANCE_UID)?,
        instance: uid(tags::SOP_INSTANCE_UID)?,
        class: dataset.class.clone(),
    })
}
