//! Where a key stands in a TOML file, so that a fault can be pointed at.

/// The line, from 1, of a byte offset.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// The line, from 1, of a key such as `dicom.called.1.purpose`; of the nearest table around it when the key itself is not there.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut nearest = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = between(line, "[[", "]]") {
            let seen = counts.iter_mut().find(|(known, _)| known == name);
            let index = match seen {
                Some((_, index)) => {
                    *index += 1;
                    *index
                }
                None => {
                    counts.push((name.to_owned(), 0));
                    0
                }
            };
            table = format!("{name}.{index}");
        } else if let Some(name) = between(line, "[", "]") {
            table = name.to_owned();
        } else if let Some((name, _)) = line.split_once('=') {
            let here = join(&table, name.trim().trim_matches('"'));
            if here == key || key.starts_with(&format!("{here}.")) {
                return Some(number);
            }
            continue;
        } else {
            continue;
        }
        if key == table || key.starts_with(&format!("{table}.")) {
            nearest = Some(number);
        }
    }
    nearest
}

fn between<'a>(line: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let inner = line.strip_prefix(open)?;
    let (name, _) = inner.split_once(close)?;
    Some(name.trim())
}

fn join(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}
