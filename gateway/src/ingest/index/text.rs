//! DICOM JSON written as the walk goes (PS3.18 F.2): no tree of it is ever built, so that a header costs its own text and 8 bytes
//! for each attribute of the items that are still open.

use std::fmt::Write as _;

use dicom_core::Tag;

use super::IndexError;

/// All of a header's JSON, in bytes: what is more is no header.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// The text, and what is open in it.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    open: Vec<Open>,
}

#[derive(Debug)]
enum Open {
    Item(Item),
    Sequence { items: bool },
}

/// An item whose end has not come.
#[derive(Debug)]
struct Item {
    /// Where its attributes begin.
    start: usize,
    /// Each attribute with where it begins.
    fields: Vec<(Tag, u32)>,
    /// Tags come in ascending order, none twice.
    sorted: bool,
}

impl Text {
    /// How much was written.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Begins the dataset, or an item of the sequence that is open.
    pub(super) fn open_item(&mut self) {
        if let Some(Open::Sequence { items }) = self.open.last_mut() {
            self.out.push_str(if *items { "," } else { ",\"Value\":[" });
            *items = true;
        }
        self.out.push('{');
        self.open.push(Open::Item(Item {
            start: self.out.len(),
            fields: Vec::new(),
            sorted: true,
        }));
    }

    /// Begins a sequence.
    ///
    /// # Errors
    /// When there is too much.
    pub(super) fn open_sequence(&mut self, tag: Tag) -> Result<(), IndexError> {
        self.attribute(tag, "{\"vr\":\"SQ\"")?;
        self.open.push(Open::Sequence { items: false });
        Ok(())
    }

    /// Ends what was begun last.
    pub(super) fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Item(item)) => {
                if !item.sorted {
                    self.sort(&item);
                }
                self.out.push('}');
            }
            Some(Open::Sequence { items }) => self.out.push_str(if items { "]}" } else { "}" }),
            None => {}
        }
    }

    /// An attribute whose value is already JSON.
    ///
    /// # Errors
    /// When there is too much.
    pub(super) fn attribute(&mut self, tag: Tag, value: &str) -> Result<(), IndexError> {
        let Some(Open::Item(item)) = self.open.last_mut() else {
            return Ok(());
        };
        let at = u32::try_from(self.out.len());
        let at = at.or(Err(IndexError::Limit("bytes of JSON")))?;
        if let Some((before, _)) = item.fields.last() {
            item.sorted &= *before < tag;
            self.out.push(',');
        }
        item.fields.push((tag, at));
        let Tag(group, element) = tag;
        if write!(self.out, "\"{group:04X}{element:04X}\":{value}").is_err()
            || self.out.len() > MAX_BYTES
        {
            return Err(IndexError::Limit("bytes of JSON"));
        }
        Ok(())
    }

    /// Puts the attributes of an item into order. Of those that stand twice the last counts.
    fn sort(&mut self, item: &Item) {
        let ends = item.fields.iter().skip(1).map(|(_, at)| *at);
        let end = u32::try_from(self.out.len()).unwrap_or(u32::MAX);
        let mut pieces: Vec<_> = item.fields.iter().zip(ends.chain([end])).collect();
        pieces.sort_by_key(|((tag, _), _)| *tag);
        let mut sorted = String::with_capacity(self.out.len() - item.start);
        let mut pieces = pieces.into_iter().peekable();
        while let Some(((tag, from), to)) = pieces.next() {
            if pieces.peek().is_some_and(|((next, _), _)| next == tag) {
                continue;
            }
            if !sorted.is_empty() {
                sorted.push(',');
            }
            let (from, to) = (usize::try_from(*from), usize::try_from(to));
            let piece = match (from, to) {
                (Ok(from), Ok(to)) => self.out.get(from..to).unwrap_or_default(),
                _ => "",
            };
            sorted.push_str(piece.trim_start_matches(','));
        }
        self.out.truncate(item.start);
        self.out.push_str(&sorted);
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Tag = Tag(0x0008, 0x0016);
    const B: Tag = Tag(0x0010, 0x0010);
    const S: Tag = Tag(0x0040, 0xA730);

    #[test]
    fn attributes_and_items_stand_where_they_came() {
        let mut text = Text::default();
        text.open_item();
        text.attribute(A, "1").unwrap();
        text.open_sequence(S).unwrap();
        for value in ["2", "3"] {
            text.open_item();
            text.attribute(B, value).unwrap();
            text.close();
        }
        text.close();
        text.open_sequence(Tag(0x0040, 0xA731)).unwrap();
        text.close();
        assert_eq!(
            text.finish(),
            r#"{"00080016":1,"0040A730":{"vr":"SQ","Value":[{"00100010":2},{"00100010":3}]},"0040A731":{"vr":"SQ"}}"#
        );
    }

    #[test]
    fn out_of_order_they_are_sorted_and_the_last_of_two_counts() {
        let mut text = Text::default();
        text.open_item();
        text.open_sequence(S).unwrap();
        text.open_item();
        for (tag, value) in [(B, "1"), (A, "2"), (B, "[3,4]"), (A, "5")] {
            text.attribute(tag, value).unwrap();
        }
        text.close();
        text.close();
        text.attribute(A, "\"a,b\"").unwrap();
        assert_eq!(
            text.finish(),
            r#"{"00080016":"a,b","0040A730":{"vr":"SQ","Value":[{"00080016":5,"00100010":[3,4]}]}}"#
        );
    }
}
