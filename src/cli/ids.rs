//! Client ids for those who name none.
//!
//! They hold nothing but `0-9a-zA-Z` and `-`. An id is a level of the default topics, and a `.` there is a
//! boundary between levels to RabbitMQ, whose subscribers then hear nothing; other brokers refuse all but letters
//! and digits as the standard allows them to [MQTT-3.1.3-5].

use crate::seed;
use rand::Rng;

/// Longest part of an id that a host is: with a process id and a number some 40 characters.
const HOST: usize = 16;

/// An id that no other process on no other host has: `<name>-<host>-<pid>`.
pub fn on_host(name: &str, host: &str) -> String {
    of_process(&format!("{name}-{}", plain(host)))
}

/// An id that no other process on this host has: `<name>-<pid>`.
pub fn of_process(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// `host` in characters that are safe in ids. What that loses is replaced by four digits that follow from all of
/// it, so that hosts stay different.
fn plain(host: &str) -> String {
    let is_safe = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let stays = host.chars().all(is_safe) && host.starts_with(|char: char| char.is_ascii_alphanumeric());
    if stays && host.len() <= HOST {
        return host.to_owned();
    }
    // What comes before the first dot is what people call it.
    let name = host.split('.').next().unwrap_or_default();
    let mut name: String = name.chars().filter(|char| is_safe(*char)).take(HOST - 5).collect();
    if !name.starts_with(|char: char| char.is_ascii_alphanumeric()) {
        name.insert_str(0, "host");
        name.truncate(HOST - 5);
    }
    format!("{name}-{:04x}", seed::stream(0, host, 0).next_u64() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn is_safe(id: &str) -> bool {
        id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }

    /// Issue section 4: a host's dots and slashes are not levels of topics.
    #[test]
    fn hosts_in_ids_are_safe_and_short() {
        for host in ["lab", "ip-10-0-0-7", "0123456789abcdef"] {
            assert_eq!(plain(host), host, "what is safe stays");
        }
        let hosts = [
            "lab.example.org",
            "lab.example.com",
            "a_b",
            "a/b",
            "a-b+#",
            "ein-l\u{e4}ngerer-name",
            "frontend-production-17",
            "frontend-production-18",
            "..",
            "",
        ];
        for host in hosts {
            let plain = plain(host);
            assert!(is_safe(&plain) && (1..=HOST).contains(&plain.len()), "{host}: {plain}");
            assert!(plain.as_bytes()[0].is_ascii_alphanumeric(), "{host}: {plain}");
        }
        assert!(plain("lab.example.org").starts_with("lab-"), "still to be recognised");
        let distinct: HashSet<_> = hosts.iter().map(|host| plain(host)).collect();
        assert_eq!(distinct.len(), hosts.len(), "{distinct:?}");
    }

    #[test]
    fn ids_are_of_this_process() {
        let pid = std::process::id();
        assert_eq!(on_host("beem-loadr", "lab"), format!("beem-loadr-lab-{pid}"));
        assert_eq!(of_process("beem-listr"), format!("beem-listr-{pid}"));
    }
}
