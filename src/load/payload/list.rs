//! Lists as text: items with commas between them.

/// The items of `text`, at least one. A backslash before one of `special` or another backslash stands for that
/// character; any other backslash for itself.
pub(super) fn split(text: &str, special: &[char]) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let escaped = chars.next_if(|next| char == '\\' && (special.contains(next) || *next == '\\'));
        match (char, escaped) {
            (',', None) => items.push(String::new()),
            (char, escaped) => items.last_mut().expect("never empty").push(escaped.unwrap_or(char)),
        }
    }
    items
}

/// What [`split`] reads back.
pub(super) fn join(items: &[String], special: &[char]) -> String {
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        for char in item.chars() {
            if char == '\\' || special.contains(&char) {
                text.push('\\');
            }
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn backslashes_keep_commas_in_items() {
        assert_eq!(split(r"a,b\,c,\d,\\", &[',']), ["a", "b,c", r"\d", r"\"]);
        assert_eq!(split("", &[',']), [""]);
        assert_eq!(split(",", &[',']), ["", ""]);
    }

    proptest! {
        #[test]
        fn a_list_is_read_back(items in proptest::collection::vec("[a,\\\\}]{0,5}", 1..5)) {
            prop_assert_eq!(split(&join(&items, &[',', '}']), &[',', '}']), items);
        }
    }
}
