//! What a search answers, as DICOM JSON (PS3.18 10.6.3.3): rows as they stand, counts, and where to get the thing itself.

use serde_json::{Map, Value};

use crate::archive::search::{InstanceHit, SeriesHit, StudyHeld, StudyHit};

/// One answer under construction.
#[derive(Default)]
pub(super) struct Found(pub(super) Map<String, Value>);

impl Found {
    fn put(&mut self, tag: &str, vr: &str, values: Vec<Value>) {
        let mut attribute = Map::new();
        attribute.insert("vr".to_owned(), vr.into());
        if !values.is_empty() {
            attribute.insert("Value".to_owned(), Value::Array(values));
        }
        self.0.insert(tag.to_owned(), Value::Object(attribute));
    }

    fn text(&mut self, tag: &str, vr: &str, text: &str) {
        let values = if text.is_empty() {
            Vec::new()
        } else {
            vec![text.into()]
        };
        self.put(tag, vr, values);
    }

    fn number(&mut self, tag: &str, vr: &str, number: Option<i64>) {
        self.put(tag, vr, number.map(Value::from).into_iter().collect());
    }

    fn name(&mut self, tag: &str, text: &str) {
        let mut groups = Map::new();
        for (key, group) in ["Alphabetic", "Ideographic", "Phonetic"]
            .into_iter()
            .zip(text.splitn(3, '='))
        {
            if !group.is_empty() {
                groups.insert(key.to_owned(), group.into());
            }
        }
        let values = if groups.is_empty() {
            Vec::new()
        } else {
            vec![Value::Object(groups)]
        };
        self.put(tag, "PN", values);
    }

    fn begin(address: &str) -> Self {
        let mut found = Self::default();
        found.text("00080005", "CS", "ISO_IR 192");
        found.text("00080056", "CS", "ONLINE");
        found.text("00081190", "UR", address);
        found
    }

    fn study_attributes(&mut self, hit: &StudyHit) {
        self.text("00080020", "DA", &hit.study_date);
        self.text("00080030", "TM", &hit.study_time);
        self.text("00080050", "SH", &hit.accession);
        self.name("00080090", &hit.referrer);
        if !hit.utc_offset.is_empty() {
            self.text("00080201", "SH", &hit.utc_offset);
        }
        self.text("00081030", "LO", &hit.description);
        self.name("00100010", &hit.patient_name);
        self.text("00100020", "LO", &hit.patient_id);
        if !hit.patient_issuer.is_empty() {
            self.text("00100021", "LO", &hit.patient_issuer);
        }
        self.text("00100030", "DA", &hit.birth_date);
        self.text("00100040", "CS", &hit.sex);
        self.text("0020000D", "UI", &hit.study_uid);
        self.text("00200010", "SH", &hit.study_id);
    }

    /// A study with what it holds.
    pub(super) fn study(held: &StudyHeld, base: &str) -> Self {
        let hit = &held.study;
        let mut found = Self::begin(&format!("{base}/studies/{}", hit.study_uid));
        found.study_attributes(hit);
        let own = &held.holdings;
        let mut modalities: Vec<Value> = own
            .iter()
            .filter(|holding| !holding.modality.is_empty())
            .map(|holding| holding.modality.as_str().into())
            .collect();
        modalities.dedup();
        found.put("00080061", "CS", modalities);
        let series = i64::try_from(own.len()).ok();
        found.number("00201206", "IS", series);
        let instances = own.iter().map(|holding| holding.instances).sum();
        found.number("00201208", "IS", Some(instances));
        found
    }

    fn series_attributes(&mut self, hit: &SeriesHit) {
        self.text("0020000D", "UI", &hit.study.study_uid);
        self.text("00080021", "DA", &hit.series_date);
        self.text("00080031", "TM", &hit.series_time);
        self.text("00080060", "CS", &hit.modality);
        self.text("0008103E", "LO", &hit.series_description);
        self.text("00180015", "CS", &hit.body_part);
        self.text("0020000E", "UI", &hit.series_uid);
        self.number("00200011", "IS", hit.number);
        if !hit.laterality.is_empty() {
            self.text("00200060", "CS", &hit.laterality);
        }
    }

    /// A series; with its study's attributes when the study was not named in the address.
    pub(super) fn series(hit: &SeriesHit, with_study: bool, base: &str) -> Self {
        let address = format!(
            "{base}/studies/{}/series/{}",
            hit.study.study_uid, hit.series_uid
        );
        let mut found = Self::begin(&address);
        if with_study {
            found.study_attributes(&hit.study);
        }
        found.series_attributes(hit);
        found.number("00201209", "IS", Some(hit.instances));
        found
    }

    /// An instance; with the attributes of what is above it and was not named in the address.
    pub(super) fn instance(
        hit: &InstanceHit,
        with_study: bool,
        with_series: bool,
        base: &str,
    ) -> Self {
        let series = &hit.series;
        let address = format!(
            "{base}/studies/{}/series/{}/instances/{}",
            series.study.study_uid, series.series_uid, hit.sop_uid
        );
        let mut found = Self::begin(&address);
        if with_study {
            found.study_attributes(&series.study);
        }
        if with_series {
            found.series_attributes(series);
        }
        found.text("0020000D", "UI", &series.study.study_uid);
        found.text("0020000E", "UI", &series.series_uid);
        found.text("00080016", "UI", &hit.sop_class);
        found.text("00080018", "UI", &hit.sop_uid);
        found.text("00083002", "UI", &hit.transfer_syntax);
        found.number("00200013", "IS", hit.instance_number);
        if let Some(rows) = hit.image_rows {
            found.number("00280010", "US", Some(rows));
            found.number("00280011", "US", hit.image_columns);
            found.number("00280100", "US", hit.bits_allocated);
        }
        if hit.frames > 0 {
            found.number("00280008", "IS", Some(hit.frames));
        }
        found
    }

    /// Adds attributes from an instance's metadata that are not there yet: those named, or all.
    pub(super) fn add(&mut self, metadata: &str, named: &[String], all: bool) {
        let Ok(Value::Object(whole)) = serde_json::from_str(metadata) else {
            return;
        };
        for (tag, attribute) in whole {
            let wanted = all || named.contains(&tag);
            let bulk = attribute.get("BulkDataURI").is_some();
            if wanted && !bulk && !self.0.contains_key(&tag) {
                self.0.insert(tag, attribute);
            }
        }
    }
}
