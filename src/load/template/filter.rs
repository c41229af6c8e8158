//! The filter that hears every topic of a template.

use super::{Piece, Template, Values};

/// The levels of a filter as far as they are known.
struct Levels {
    /// `None`: differs from topic to topic.
    levels: Vec<Option<String>>,
}

impl Levels {
    fn last(&mut self) -> &mut Option<String> {
        self.levels.last_mut().expect("a topic has a level")
    }

    /// Text goes on in the last level; each slash in it begins another.
    fn text(&mut self, text: &str) {
        for (place, part) in text.split('/').enumerate() {
            if place > 0 {
                self.levels.push(Some(String::new()));
            }
            if let Some(level) = self.last() {
                level.push_str(part);
            }
        }
    }

    /// The last level differs, and so do `more` after it.
    fn any(&mut self, more: usize) {
        *self.last() = None;
        self.levels.extend(std::iter::repeat_n(None, more));
    }
}

impl Template {
    /// The subscription filter that covers all topics of this template: a level with a field in it becomes
    /// `+`. From a pick whose choices have different numbers of levels on, all is `#`.
    ///
    /// Two things it cannot cover: client ids with a slash in them, and, when the first level differs, topics
    /// that begin with `$` [MQTT-4.7.2-1].
    pub fn filter(&self) -> String {
        self.cover(|_| None)
    }

    /// The same for the topics of the one client that `values` is about: only what differs from message to
    /// message becomes `+`.
    pub fn filter_of(&self, values: &Values<'_>) -> String {
        self.cover(|piece| match piece {
            Piece::ClientId => Some(values.client.to_string()),
            Piece::Index(modulus) => Some(modulus.map_or(values.index, |m| values.index % m).to_string()),
            Piece::Pair => Some(values.pair.to_string()),
            Piece::RunId => Some(format!("{:08x}", values.run_id)),
            Piece::Total => Some(values.total.to_string()),
            Piece::Text(_) | Piece::Sequence | Piece::Pick(_) => None,
        })
    }

    fn cover(&self, known: impl Fn(&Piece) -> Option<String>) -> String {
        let mut found = Levels { levels: vec![Some(String::new())] };
        let mut open = false;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => found.text(text),
                Piece::Pick(pick) => {
                    let slashes = |choice: &String| choice.matches('/').count();
                    let count = slashes(&pick.choices[0]);
                    if pick.choices.iter().any(|choice| slashes(choice) != count) {
                        found.any(0);
                        open = true;
                        break;
                    }
                    match &pick.choices[..] {
                        [only] => found.text(only),
                        _ => found.any(count),
                    }
                }
                field => match known(field) {
                    Some(text) => found.text(&text),
                    None => found.any(0),
                },
            }
        }
        let last = found.levels.len() - 1;
        let wildcard = |place| if open && place == last { "#" } else { "+" };
        let levels = found.levels.iter().enumerate();
        let levels: Vec<_> =
            levels.map(|(place, level)| level.as_deref().unwrap_or_else(|| wildcard(place))).collect();
        levels.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    #[test]
    fn the_filter_of_one_client_has_its_name() {
        let client = Name::Given("c-7");
        let values = Values { client, index: 7, pair: 1, run_id: 2, sequence: 0, total: 9, seed: 0 };
        let filter = |text: &str| text.parse::<Template>().unwrap().filter_of(&values);
        assert_eq!(filter("mqtt-malaria/%c/data/%n/%N"), "mqtt-malaria/c-7/data/+/9");
        assert_eq!(filter("a/%i{4}/%p-%r/<x,y>"), "a/3/1-00000002/+");
    }
}
