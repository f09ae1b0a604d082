//! What a header says of its de-identification (PS3.3 C.7.1.1, C.12.1.1.4.1): the marks, and the originals sealed for the site.

use causeway_proto::report::model::{Code, Protection, Sealed};
use serde_json::{Map, Value};

use super::facts::{text, values};

/// No header says more methods or codes than this of itself.
const MOST: usize = 32;

/// Takes it from the top level of a dataset and the sealed content that the walk met; none when there is neither.
pub(super) fn of(root: &Map<String, Value>, sealed: Option<Vec<u8>>) -> Option<Protection> {
    let sealed = sealed.filter(|content| !content.is_empty());
    if text(root, "00120062") != "YES" && sealed.is_none() {
        return None;
    }
    let methods = values(root, "00120063").iter().filter_map(Value::as_str);
    let codes = values(root, "00120064").iter().filter_map(Value::as_object);
    let first = values(root, "04000500").first().and_then(Value::as_object);
    let syntax = first.map(|item| text(item, "04000510")).unwrap_or_default();
    Some(Protection {
        methods: methods.take(MOST).map(str::to_owned).collect(),
        codes: codes.take(MOST).map(code).collect(),
        sealed: sealed.map(|content| Sealed { syntax, content }),
    })
}

fn code(item: &Map<String, Value>) -> Code {
    let short = text(item, "00080100");
    let value = if short.is_empty() {
        text(item, "00080119")
    } else {
        short
    };
    Code::new(&value, &text(item, "00080102"), &text(item, "00080104"))
}
