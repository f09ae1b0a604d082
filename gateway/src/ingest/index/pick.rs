//! The few attributes of which the rows are made, read out of a header's JSON without building the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What the rows are made of, at the top level and in items.
const WANTED: [&str; 50] = [
    "00080016", "00080018", "00080020", "00080021", "00080030", "00080031", "00080050", "00080051",
    "00080060", "00080090", "00080100", "00080102", "00080104", "00080119", "00080201", "00081030",
    "0008103E", "00100010", "00100020", "00100021", "00100030", "00100040", "00101010", "00120062",
    "00120063", "00120064", "00180015", "0020000D", "0020000E", "00200010", "00200011", "00200013",
    "00200060", "00280002", "00280004", "00280008", "00280010", "00280011", "00280100", "00321060",
    "00400007", "00400031", "00400032", "00400275", "00401001", "00402016", "00402017", "0040A370",
    "04000500", "04000510",
];
/// Of an attribute no more values or items are read.
const MOST_VALUES: usize = 64;
/// Items within items are read so far down: an issuer in a request.
const DEEPEST: usize = 3;

/// Picks them.
///
/// # Errors
/// When `json` is none.
pub(super) fn pick(json: &str) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Item(0).deserialize(&mut reader)
}

/// A dataset or an item at some depth; in its place also a name's groups.
#[derive(Clone, Copy)]
struct Item(usize);

/// An attribute: what is below it is at this depth.
#[derive(Clone, Copy)]
struct Attribute(usize);

/// The values of an attribute.
#[derive(Clone, Copy)]
struct Values(usize);

/// One value.
#[derive(Clone, Copy)]
struct One(usize);

impl<'de> DeserializeSeed<'de> for Item {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item or a name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = from.next_key::<Cow<'de, str>>()? {
            let group = matches!(&*key, "Alphabetic" | "Ideographic" | "Phonetic");
            if group {
                out.insert(key.into_owned(), Value::String(from.next_value()?));
            } else if self.0 < DEEPEST && WANTED.contains(&&*key) {
                let attribute = from.next_value_seed(Attribute(self.0 + 1))?;
                out.insert(key.into_owned(), attribute);
            } else {
                from.next_value::<IgnoredAny>()?;
            }
        }
        Ok(out)
    }
}

impl<'de> DeserializeSeed<'de> for Attribute {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attribute {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = from.next_key::<Cow<'de, str>>()? {
            if key == "Value" {
                let values = from.next_value_seed(Values(self.0))?;
                out.insert(key.into_owned(), Value::Array(values));
            } else {
                from.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(out))
    }
}

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<Value>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<Value>, A::Error> {
        let mut out = Vec::new();
        while out.len() < MOST_VALUES {
            let Some(value) = from.next_element_seed(One(self.0))? else {
                return Ok(out);
            };
            out.push(value);
        }
        while from.next_element::<IgnoredAny>()?.is_some() {}
        Ok(out)
    }
}

impl<'de> DeserializeSeed<'de> for One {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        Item(self.0).visit_map(from).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_that_is_asked_for_is_picked() {
        let sources = [include_str!("facts.rs"), include_str!("protection.rs")];
        let mut asked = 0;
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap();
            let words = code.split('"').skip(1).step_by(2);
            for key in words.filter(|word| word.len() == 8) {
                if key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    assert!(WANTED.contains(&key), "{key}");
                    asked += 1;
                }
            }
        }
        assert!(asked >= WANTED.len(), "{asked}");
    }

    #[test]
    fn what_is_wanted_comes_as_it_stands_and_nothing_else() {
        let json = r#"{
            "00080018":{"vr":"UI","Value":["1.2",null,7,-7,1.5]},
            "00080019":{"vr":"UI","Value":["1.2"]},
            "00100010":{"vr":"PN","Value":[{"Alphabetic":"A","Phonetic":"B"}]},
            "00120064":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["1"]},"00080101":{"vr":"SH"}}]},
            "04000500":{"vr":"SQ"}
        }"#;
        let expect = serde_json::json!({
            "00080018": {"Value": ["1.2", null, 7, -7, 1.5]},
            "00100010": {"Value": [{"Alphabetic": "A", "Phonetic": "B"}]},
            "00120064": {"Value": [{"00080100": {"Value": ["1"]}}]},
            "04000500": {},
        });
        assert_eq!(Value::Object(pick(json).unwrap()), expect);
    }

    #[test]
    fn however_deep_and_however_many_it_costs_little() {
        let open = r#"{"00400275":{"vr":"SQ","Value":["#;
        let deep = format!("{}{}", open.repeat(5000), "]}}".repeat(5000));
        assert!(pick(&deep).unwrap().contains_key("00400275"));
        let many = format!(
            r#"{{"00400275":{{"Value":[{{}}{}]}}}}"#,
            ",{}".repeat(100_000)
        );
        let picked = pick(&many).unwrap();
        let items = picked["00400275"]["Value"].as_array().unwrap().len();
        assert_eq!(items, MOST_VALUES);
    }
}
