//! Lists of items in JSON, of which a response names each wrong one by its index. Items are kept as parts of
//! the body's text until they are checked, whatever they contain.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, json};

use crate::error::http_error::HttpError;
use crate::request::body_error::BodyError;

/// The largest body with items, in bytes. It is charged to the memory budget like any other.
pub(crate) const ITEM_BYTES: usize = 512 * 1024;
/// The number of wrong items that an error describes.
const WRONG_ITEMS: usize = 20;
/// The name under which errors of an item as a whole are listed.
const WHOLE: &str = "non_field_errors";

/// The first `MOST` items, and how many there are.
pub(crate) struct Items<'a, const MOST: usize> {
    items: Vec<&'a RawValue>,
    total: usize,
}

/// A member that was sent, which may be `null`. The default is one that wasn't.
#[derive(Clone, Copy, Default)]
pub(crate) struct Member<'a>(Option<&'a RawValue>);

/// A wrong member of an item, and its error.
pub(crate) struct ItemError {
    pub(crate) member: &'static str,
    pub(crate) text: String,
}

/// Parses a body. An error says where it is, and quotes nothing.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], needed: &'static str) -> Result<T, BodyError> {
    let read = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if error.is_data() {
            BodyError::Members { line, column, needed }
        } else {
            BodyError::Json(format!("Unexpected input: line {line} column {column}"))
        }
    })?;
    if is_object(bytes) { Ok(read) } else { Err(BodyError::Members { line: 1, column: 1, needed }) }
}

/// Returns whether a JSON text is an object. Structs can also be read from a list of their values.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

impl<'a, const MOST: usize> Items<'a, MOST> {
    /// Checks all items, so that one response reports their errors. `name` is that of the list.
    pub(crate) fn checked<I: Deserialize<'a>, T>(
        &self,
        name: &'static str,
        check: impl Fn(I) -> Result<T, ItemError>,
    ) -> Result<Vec<T>, HttpError> {
        if !(1..=MOST).contains(&self.total) {
            let fault = format!("Send 1 to {MOST} {name}, not {}.", self.total);
            return Err(HttpError::of_field(name, &fault));
        }
        let mut errors = Map::new();
        let mut checked = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.iter().enumerate() {
            let known = serde_json::from_str(item.get()).ok().filter(|_| is_object(item.get().as_bytes()));
            let known = known.ok_or_else(|| {
                ItemError::of_item("It isn't an object, or a member of it is unknown or occurs twice.")
            });
            match known.and_then(&check) {
                Ok(item) => checked.push(item),
                Err(ItemError { member, text }) if errors.len() < WRONG_ITEMS => {
                    errors.insert(index.to_string(), json!({ member: [text] }));
                }
                Err(_) => {}
            }
        }
        if errors.is_empty() {
            Ok(checked)
        } else {
            Err(HttpError::of_fields(Map::from_iter([(name.to_owned(), errors.into())])))
        }
    }
}

impl<'a> Member<'a> {
    /// Returns whether the member was sent, and isn't `null`.
    pub(crate) fn is_given(self) -> bool {
        self.given().is_some()
    }

    /// Returns whether the member is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_some_and(|value| value.get() == "null")
    }

    /// Returns the text of the JSON, unless the member is absent or `null`.
    pub(crate) fn given(self) -> Option<&'a str> {
        self.0.map(RawValue::get).filter(|json| *json != "null")
    }

    /// Returns the value. `None` if the member is absent or `null`.
    pub(crate) fn read<T: Deserialize<'a>>(
        self,
        member: &'static str,
        kind: &str,
    ) -> Result<Option<T>, ItemError> {
        let read = self.given().map(serde_json::from_str).transpose();
        read.map_err(|_| ItemError { member, text: format!("Must be {kind}.") })
    }
}

impl ItemError {
    /// An error of the item as a whole.
    pub(crate) fn of_item(text: &str) -> Self {
        Self { member: WHOLE, text: text.to_owned() }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl<'de: 'a, 'a, const MOST: usize> Deserialize<'de> for Items<'a, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<'a, const MOST: usize>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a, const MOST: usize> Visitor<'de> for List<'a, MOST> {
            type Value = Items<'a, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut read = Items { items: Vec::new(), total: 0 };
                while read.total < MOST {
                    let Some(item) = list.next_element()? else { return Ok(read) };
                    read.items.push(item);
                    read.total += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    read.total += 1;
                }
                Ok(read)
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}
