//! Takes a list of objects apart while it arrives: each item alone, and what stands around them. A
//! node's pods can be megabytes of JSON; so only one of them is held at a time.

/// Longest item. etcd takes objects of 1.5 MiB; as JSON they are larger.
pub const LONGEST_ITEM: usize = 8 << 20;

/// Longest rest: `kind`, `apiVersion`, `metadata`.
const LONGEST_REST: usize = 64 << 10;

/// Why a list cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("one of its items is larger than {} MiB", LONGEST_ITEM >> 20)]
    Item,
    #[error("what stands around its items is larger than {} KiB", LONGEST_REST >> 10)]
    Rest,
    #[error("it is no list in JSON")]
    Form,
    #[error("it broke off")]
    Short,
}

/// Where the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// A list that is arriving.
#[derive(Debug)]
pub struct Splitter {
    depth: u32,
    text: Text,
    /// The last text of the outermost object, which may be a key.
    last: Vec<u8>,
    /// Its text was `items`, and an array began.
    in_items: bool,
    item: Vec<u8>,
    rest: Vec<u8>,
    over: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            depth: 0,
            text: Text::Outside,
            last: Vec::new(),
            in_items: false,
            item: Vec::new(),
            rest: Vec::new(),
            over: false,
        }
    }
}

impl Splitter {
    /// Takes the next part; `each` is given every item that is whole.
    pub fn push(&mut self, part: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), SplitError> {
        for &byte in part {
            self.byte(byte, &mut each)?;
        }
        Ok(())
    }

    /// What stood around the items, a list without any, once all has arrived.
    pub fn finish(self) -> Result<Vec<u8>, SplitError> {
        if self.over {
            Ok(self.rest)
        } else {
            Err(SplitError::Short)
        }
    }

    fn byte(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        if self.over {
            return if byte.is_ascii_whitespace() {
                Ok(())
            } else {
                Err(SplitError::Form)
            };
        }
        match self.text {
            Text::Escaped => self.text = Text::Inside,
            Text::Inside => match byte {
                b'\\' => self.text = Text::Escaped,
                b'"' => self.text = Text::Outside,
                _ => {}
            },
            Text::Outside => return self.structure(byte, each),
        }
        if self.depth == 1 && self.text != Text::Outside && self.last.len() < 16 {
            self.last.push(byte);
        }
        self.keep(byte)
    }

    fn structure(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        match byte {
            b'"' => {
                if self.depth == 1 {
                    self.last.clear();
                }
                self.text = Text::Inside;
            }
            b'{' | b'[' => {
                if self.depth == 0 && byte == b'[' {
                    return Err(SplitError::Form);
                }
                if self.depth == 1 {
                    self.in_items = byte == b'[' && self.last == b"items";
                }
                self.depth += 1;
                if self.depth > 512 {
                    return Err(SplitError::Form);
                }
                if self.in_items && self.depth == 2 {
                    self.rest.push(byte);
                    return Ok(());
                }
            }
            b'}' | b']' => {
                if self.in_items && self.depth == 2 {
                    self.in_items = false;
                }
                self.depth = self.depth.checked_sub(1).ok_or(SplitError::Form)?;
                self.keep(byte)?;
                if self.in_items && self.depth == 2 {
                    each(&self.item);
                    self.item.clear();
                    if self.item.capacity() > 256 << 10 {
                        self.item = Vec::new();
                    }
                }
                self.over = self.depth == 0;
                return Ok(());
            }
            // Between two items.
            b',' if self.in_items && self.depth == 2 => return Ok(()),
            _ if byte.is_ascii_whitespace() => return Ok(()),
            _ if self.depth == 0 => return Err(SplitError::Form),
            _ => {}
        }
        self.keep(byte)
    }

    fn keep(&mut self, byte: u8) -> Result<(), SplitError> {
        let (kept, most, error) = if self.in_items {
            (&mut self.item, LONGEST_ITEM, SplitError::Item)
        } else {
            (&mut self.rest, LONGEST_REST, SplitError::Rest)
        };
        if kept.len() >= most {
            return Err(error);
        }
        kept.push(byte);
        Ok(())
    }
}

/// All of a list at once, for tests and the fuzzer: the items and the rest.
pub fn whole(text: &[u8]) -> Result<(Vec<Vec<u8>>, Vec<u8>), SplitError> {
    let mut splitter = Splitter::default();
    let mut items = Vec::new();
    splitter.push(text, |item| items.push(item.to_vec()))?;
    Ok((items, splitter.finish()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn items_and_what_stands_around_them() {
        let text = br#" {"kind":"PodList","metadata":{"resourceVersion":"7","items":[1]},
            "items":[{"a":"]}\\\"{"} , {"b":[{}]}],"items2":["x"]} "#;
        let (items, rest) = whole(text).unwrap();
        let items: Vec<Value> = items
            .iter()
            .map(|item| serde_json::from_slice(item).unwrap())
            .collect();
        assert_eq!(items, [json!({"a": "]}\\\"{"}), json!({"b": [{}]})]);
        let rest: Value = serde_json::from_slice(&rest).unwrap();
        assert_eq!(
            rest,
            json!({"kind": "PodList", "metadata": {"resourceVersion": "7", "items": [1]},
                   "items": [], "items2": ["x"]})
        );
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, error) in [
            ("", SplitError::Short),
            (r#"{"items":[{}"#, SplitError::Short),
            ("[]", SplitError::Form),
            ("null", SplitError::Form),
            ("{}x", SplitError::Form),
            ("}", SplitError::Form),
        ] {
            assert_eq!(whole(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(whole(&b"[".repeat(9)), Err(SplitError::Form));
        let deep = format!("{{\"items\":{}", "[".repeat(600));
        assert_eq!(whole(deep.as_bytes()), Err(SplitError::Form));
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut splitter = Splitter::default();
        splitter.push(br#"{"items":[{"a":""#, |_| ()).unwrap();
        let part = vec![b'x'; 1 << 20];
        let mut result = Ok(());
        for _ in 0..9 {
            result = result.and_then(|()| splitter.push(&part, |_| ()));
        }
        assert_eq!(result, Err(SplitError::Item));
        let rest = format!("{{\"kind\":\"{}", "x".repeat(70 << 10));
        assert_eq!(whole(rest.as_bytes()), Err(SplitError::Rest));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[ -~]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z\"\\\\{}]{0,6}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_list_is_its_items(
            items in prop::collection::vec(json_value(), 0..5), rest in json_value(),
            pretty in any::<bool>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let items: Vec<Value> = items.into_iter().map(|v| json!({ "v": v })).collect();
            let list = json!({ "a": rest, "items": items, "z": rest });
            let text = if pretty {
                serde_json::to_vec_pretty(&list).unwrap()
            } else {
                serde_json::to_vec(&list).unwrap()
            };
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            at.sort_unstable();
            let (mut splitter, mut found, mut begun) = (Splitter::default(), Vec::new(), 0);
            for end in at.into_iter().chain([text.len()]) {
                splitter
                    .push(&text[begun..end], |item| {
                        found.push(serde_json::from_slice::<Value>(item).unwrap());
                    })
                    .unwrap();
                begun = end;
            }
            prop_assert_eq!(found, items);
            let around: Value = serde_json::from_slice(&splitter.finish().unwrap()).unwrap();
            prop_assert_eq!(around, json!({ "a": rest, "items": [], "z": rest }));
        }

        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = whole(&text);
        }
    }
}
