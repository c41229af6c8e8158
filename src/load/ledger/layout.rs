//! Where a topic tells the publishing client and the number of the message.

/// The levels of topics that hold the client id and the number, from 0.
///
/// ```
/// use malaria_bench::load::TopicLayout;
/// let layout = TopicLayout::of("mqtt-malaria/+/data/#");
/// assert_eq!(layout.read("mqtt-malaria/loadr-7/data/3/10"), Some(("loadr-7", 3)));
/// assert_eq!(layout.read("mqtt-malaria/loadr-7/data/x"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicLayout {
    client: usize,
    number: usize,
}

impl TopicLayout {
    /// Where malaria looks, whatever the filter.
    const MALARIA: TopicLayout = TopicLayout { client: 1, number: 3 };

    /// The layout of the topics that `filter` lets through: the client id is the level that the first `+`
    /// stands for; the number is the level of the second `+`, or the first one that `#` stands for. A filter
    /// without both has the layout of malaria's topics, levels 1 and 3. The `$share/<group>/` of a shared
    /// subscription is no part of topics.
    pub fn of(filter: &str) -> TopicLayout {
        let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let filter = shared.map_or(filter, |(_, filter)| filter);
        let Some(client) = filter.split('/').position(|level| level == "+") else {
            return TopicLayout::MALARIA;
        };
        let rest = filter.split('/').enumerate().skip(client + 1);
        let number = rest.filter(|(_, level)| matches!(*level, "+" | "#")).map(|(place, _)| place).next();
        number.map_or(TopicLayout::MALARIA, |number| TopicLayout { client, number })
    }

    /// The client id and the number in a topic; `None` when a level is missing, the id empty or the number none.
    pub fn read<'t>(&self, topic: &'t str) -> Option<(&'t str, u64)> {
        // The client comes before the number.
        let mut levels = topic.split('/');
        let client = levels.nth(self.client).filter(|client| !client.is_empty())?;
        let number = levels.nth(self.number - self.client - 1)?;
        // `parse` would take a sign.
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        Some((client, number.parse().ok().filter(|_| plain)?))
    }
}
