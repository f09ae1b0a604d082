//! What our words for acts are called in DICOM PS3.15 A.5 and PS3.16 CID 400 to 402, and what their subject is.

/// A code of PS3.16 with its meaning; all are of the scheme DCM.
pub(super) type Code = (&'static str, &'static str);

/// What the subject of an act names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// A Study Instance UID.
    Study,
    /// A case, a workitem or a draft of our own.
    Case,
    /// A signed report of our own.
    Report,
    /// An account.
    User,
    /// A site, a certificate, an agreement, a key, or this program.
    Node,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) id: Code,
    pub(super) kind: Option<Code>,
    /// C, R, U, D or E.
    pub(super) action: char,
    /// 0 success, 4 minor failure, 8 serious failure.
    pub(super) outcome: u8,
    pub(super) object: Object,
}

const ACTIVITY: Code = ("110100", "Application Activity");
const LOG_USED: Code = ("110101", "Audit Log Used");
const BEGIN: Code = ("110102", "Begin Transferring DICOM Instances");
const ACCESSED: Code = ("110103", "DICOM Instances Accessed");
const TRANSFERRED: Code = ("110104", "DICOM Instances Transferred");
const DELETED: Code = ("110105", "DICOM Study Deleted");
const EXPORT: Code = ("110106", "Export");
const IMPORT: Code = ("110107", "Import");
const NETWORK: Code = ("110108", "Network Entry");
const ORDER: Code = ("110109", "Order Record");
const PROCEDURE: Code = ("110111", "Procedure Record");
const ALERT: Code = ("110113", "Security Alert");
const AUTHENTICATION: Code = ("110114", "User Authentication");

const START: Code = ("110120", "Application Start");
const STOP: Code = ("110121", "Application Stop");
const LOGIN: Code = ("110122", "Login");
const LOGOUT: Code = ("110123", "Logout");
const ATTACH: Code = ("110124", "Attach");
const NODE_AUTHENTICATION: Code = ("110126", "Node Authentication");
const SECURITY_CONFIGURATION: Code = ("110129", "Security Configuration");
const RESTRICTED: Code = ("110132", "Use of Restricted Function");
const OBJECT_ATTRIBUTES: Code = ("110135", "Object Security Attributes Changed");
const USER_ATTRIBUTES: Code = ("110137", "User security Attributes Changed");

const fn row(id: Code, kind: Option<Code>, action: char, outcome: u8, object: Object) -> Coded {
    Coded {
        id,
        kind,
        action,
        outcome,
        object,
    }
}

/// The row of a word; an unknown one is told as an activity of the program.
pub(super) fn coded(event: &str) -> Coded {
    let found = TABLE.iter().find(|(word, _)| *word == event);
    found.map_or(row(ACTIVITY, None, 'E', 0, Object::Node), |(_, row)| *row)
}

const TABLE: &[(&str, Coded)] = &[
    // both ends
    ("started", row(ACTIVITY, Some(START), 'E', 0, Object::Node)),
    ("stopped", row(ACTIVITY, Some(STOP), 'E', 0, Object::Node)),
    ("audit-read", row(LOG_USED, None, 'R', 0, Object::Node)),
    (
        "audit-doubted",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'E', 8, Object::Node),
    ),
    (
        "audit-doubt-settled",
        row(ALERT, Some(RESTRICTED), 'E', 0, Object::Node),
    ),
    (
        "alarm-acknowledged",
        row(ALERT, Some(RESTRICTED), 'E', 0, Object::Node),
    ),
    ("study-recalled", row(DELETED, None, 'D', 0, Object::Study)),
    ("images-deleted", row(DELETED, None, 'D', 0, Object::Study)),
    (
        "study-sealed",
        row(TRANSFERRED, None, 'C', 0, Object::Study),
    ),
    // people at the gateway
    (
        "signed-in",
        row(AUTHENTICATION, Some(LOGIN), 'E', 0, Object::User),
    ),
    (
        "sign-in-failed",
        row(AUTHENTICATION, Some(LOGIN), 'E', 4, Object::User),
    ),
    (
        "signed-out",
        row(AUTHENTICATION, Some(LOGOUT), 'E', 0, Object::User),
    ),
    (
        "token-issued",
        row(AUTHENTICATION, Some(LOGIN), 'E', 0, Object::User),
    ),
    (
        "account-added",
        row(ALERT, Some(USER_ATTRIBUTES), 'C', 0, Object::User),
    ),
    (
        "account-disabled",
        row(ALERT, Some(USER_ATTRIBUTES), 'D', 0, Object::User),
    ),
    (
        "password-changed",
        row(ALERT, Some(USER_ATTRIBUTES), 'U', 0, Object::User),
    ),
    (
        "password-reset",
        row(ALERT, Some(USER_ATTRIBUTES), 'U', 0, Object::User),
    ),
    // reading
    ("images-viewed", row(ACCESSED, None, 'R', 0, Object::Study)),
    (
        "images-downloaded",
        row(ACCESSED, None, 'R', 0, Object::Study),
    ),
    ("case-opened", row(ORDER, None, 'R', 0, Object::Case)),
    (
        "report-previewed",
        row(PROCEDURE, None, 'R', 0, Object::Case),
    ),
    ("report-read", row(PROCEDURE, None, 'R', 0, Object::Case)),
    (
        "report-signed",
        row(PROCEDURE, None, 'C', 0, Object::Report),
    ),
    (
        "report-withdrawn",
        row(PROCEDURE, None, 'C', 0, Object::Report),
    ),
    (
        "correction-begun",
        row(PROCEDURE, None, 'U', 0, Object::Report),
    ),
    ("workitem-claimed", row(ORDER, None, 'U', 0, Object::Case)),
    ("workitem-canceled", row(ORDER, None, 'D', 0, Object::Case)),
    ("workitem-put-back", row(ORDER, None, 'U', 0, Object::Case)),
    ("report-delivery", row(EXPORT, None, 'R', 0, Object::Report)),
    (
        "quarantined",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'C', 4, Object::Study),
    ),
    // sites
    (
        "site-added",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 0, Object::Node),
    ),
    (
        "site-enrolled",
        row(NETWORK, Some(ATTACH), 'C', 0, Object::Node),
    ),
    (
        "site-refused",
        row(ALERT, Some(NODE_AUTHENTICATION), 'E', 4, Object::Node),
    ),
    (
        "site-revoked",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'D', 0, Object::Node),
    ),
    (
        "session-remarked",
        row(ALERT, Some(NODE_AUTHENTICATION), 'E', 4, Object::Node),
    ),
    (
        "agreement-added",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 0, Object::Node),
    ),
    (
        "agreement-ended",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'D', 0, Object::Node),
    ),
    (
        "certificate-renewed",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'U', 0, Object::Node),
    ),
    (
        "certificates-retired",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'D', 0, Object::Node),
    ),
    (
        "certificate-adopted",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 4, Object::Node),
    ),
    (
        "blob-damaged",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'E', 8, Object::Node),
    ),
    (
        "blob-mended",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'U', 0, Object::Study),
    ),
    (
        "blob-not-kept",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'E', 8, Object::Study),
    ),
    ("backup-made", row(EXPORT, None, 'R', 0, Object::Node)),
    (
        "gateway-restored",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'E', 4, Object::Node),
    ),
    (
        "report-elsewhere",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'E', 8, Object::Study),
    ),
    (
        "report-elsewhere-settled",
        row(ALERT, Some(RESTRICTED), 'E', 0, Object::Study),
    ),
    (
        "restored-released",
        row(ALERT, Some(RESTRICTED), 'E', 0, Object::Node),
    ),
    (
        "enrolment-code-issued",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 0, Object::Node),
    ),
    (
        "enrolment-refused",
        row(ALERT, Some(NODE_AUTHENTICATION), 'E', 4, Object::Node),
    ),
    // the agent
    ("enrolled", row(NETWORK, Some(ATTACH), 'C', 0, Object::Node)),
    (
        "study-received",
        row(TRANSFERRED, None, 'C', 0, Object::Study),
    ),
    (
        "study-protected",
        row(PROCEDURE, None, 'U', 0, Object::Study),
    ),
    (
        "commitment-asked",
        row(ACTIVITY, None, 'E', 0, Object::Node),
    ),
    (
        "commitment-reported",
        row(ACTIVITY, None, 'E', 0, Object::Node),
    ),
    (
        "commitment-given-up",
        row(ACTIVITY, None, 'E', 4, Object::Node),
    ),
    // people at a site
    (
        "account-removed",
        row(ALERT, Some(USER_ATTRIBUTES), 'D', 0, Object::User),
    ),
    (
        "withheld-released",
        row(PROCEDURE, None, 'U', 0, Object::Study),
    ),
    ("withheld-kept", row(PROCEDURE, None, 'U', 0, Object::Study)),
    ("object-masked", row(PROCEDURE, None, 'U', 0, Object::Study)),
    (
        "mask-drawn",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 0, Object::Node),
    ),
    (
        "mask-dropped",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'D', 0, Object::Node),
    ),
    ("block-lifted", row(PROCEDURE, None, 'U', 0, Object::Study)),
    ("block-kept", row(PROCEDURE, None, 'U', 0, Object::Study)),
    ("case-raised", row(ORDER, None, 'U', 0, Object::Study)),
    ("report-shown", row(ACCESSED, None, 'R', 0, Object::Study)),
    (
        "withheld-viewed",
        row(ACCESSED, None, 'R', 0, Object::Study),
    ),
    ("images-sent", row(BEGIN, None, 'R', 0, Object::Study)),
    ("wait-ended", row(PROCEDURE, None, 'E', 0, Object::Case)),
    ("report-received", row(IMPORT, None, 'C', 0, Object::Study)),
    (
        "report-rejected",
        row(ALERT, Some(OBJECT_ATTRIBUTES), 'C', 8, Object::Study),
    ),
    (
        "report-offered",
        row(TRANSFERRED, None, 'R', 0, Object::Study),
    ),
    (
        "report-rehomed",
        row(PROCEDURE, None, 'C', 0, Object::Study),
    ),
    ("report-exported", row(ACCESSED, None, 'R', 0, Object::Case)),
    ("context-given", row(ORDER, None, 'U', 0, Object::Study)),
    ("letter-written", row(ORDER, None, 'C', 0, Object::Case)),
    ("letter-received", row(ORDER, None, 'C', 0, Object::Case)),
    ("letter-read", row(ORDER, None, 'R', 0, Object::Case)),
    ("context-received", row(ORDER, None, 'U', 0, Object::Study)),
    ("report-retried", row(PROCEDURE, None, 'E', 0, Object::Case)),
    ("held-decided", row(PROCEDURE, None, 'U', 0, Object::Case)),
    (
        "withdrawal-acknowledged",
        row(PROCEDURE, None, 'U', 0, Object::Case),
    ),
    (
        "loss-accepted",
        row(ALERT, Some(RESTRICTED), 'D', 0, Object::Node),
    ),
    (
        "keys-exported",
        row(ALERT, Some(RESTRICTED), 'R', 0, Object::Node),
    ),
    (
        "keys-imported",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'C', 0, Object::Node),
    ),
    (
        "keys-rotated",
        row(ALERT, Some(SECURITY_CONFIGURATION), 'U', 0, Object::Node),
    ),
    (
        "original-opened",
        row(ACCESSED, None, 'R', 0, Object::Study),
    ),
];
