//! What links, by kind and place; and what never does.

/// Kinds of what links, as CONFORMANCE.md names them, and where each stands.
pub(super) const KINDS: &[(&str, &[&str])] = &[
    (
        "UIDs",
        &[
            "(0008,0018)",
            "(0020,000D)",
            "(0020,000E)",
            "(0020,0052)",
            "case_study.study_uid",
            "instance.series_uid",
            "instance.sop_uid",
            "instance.study_uid",
            "manifest.study_uid",
            "series.series_uid",
            "series.study_uid",
            "study.study_uid",
            "study_protection.study_uid",
            "study_request.study_uid",
            "workitem_study.study_uid",
        ],
    ),
    (
        "dates and times",
        &[
            "(0008,0020)",
            "(0008,0021)",
            "(0008,0023)",
            "(0008,0030)",
            "(0008,0031)",
            "(0008,0033)",
            "(0018,9074)",
            "series.series_date",
            "series.series_time",
            "study.study_date",
            "study.study_time",
        ],
    ),
    ("pixels", &["(7FE0,0010)", "pixels: digest"]),
    (
        "lengths",
        &[
            "instance.length",
            "instance.pixels",
            "manifest.entries",
            "object: length",
        ],
    ),
    ("geometry", &["(0020,0032)"]),
    (
        "settings of the examination",
        &["(0018,1030)", "(0018,1151)"],
    ),
    ("maker and model", &["(0008,1090)"]),
    (
        "private elements of the device",
        &["(0029,SIEMENS CSA HEADER,10)"],
    ),
    (
        "sex, age, weight and size of the patient",
        &[
            "(0010,0040)",
            "(0010,1010)",
            "(0010,1030)",
            "study.age",
            "study.sex",
        ],
    ),
];

/// What two agreements never share.
pub(super) const NEVER: &[&str] = &[
    "(0010,0020)",
    "(0010,0010)",
    "(0008,0050)",
    "(0020,0010)",
    "(0018,1000)",
    "(0008,1010)",
    "(0400,0520)",
    "object: digest",
    "study.case_code",
    "study.patient_id",
    "study.patient_name",
    "study.accession",
    "study.study_id",
    "instance.source_tag",
    "instance.sent_digest",
    "instance.blob_key",
    "instance.metadata",
    "study_protection.sealed_set",
    "case_study.case_id",
    "workitem_study.workitem_uid",
    "manifest.entries",
];

/// The kind of a place; empty when it has none.
pub(super) fn kind(place: &str) -> &'static str {
    let place = match place.strip_suffix(": UID") {
        Some(_) => "study.study_uid",
        None => place.trim_end_matches(": word"),
    };
    let found = KINDS.iter().find(|(_, places)| places.contains(&place));
    found.map_or("", |(kind, _)| kind)
}
