//! HTML under way: elements that close by themselves, text that cannot become markup.

use std::fmt::Write;

/// Name and value of an attribute.
pub type Attribute<'a> = (&'static str, &'a str);

/// A document, or a part of one.
#[derive(Default)]
pub struct Markup(String);

impl Markup {
    pub fn document() -> Markup {
        Markup("<!DOCTYPE html>\n".to_owned())
    }

    /// An element and what `within` puts into it.
    pub fn element(&mut self, tag: &str, attributes: &[Attribute], within: impl FnOnce(&mut Markup)) {
        self.start(tag, attributes);
        self.0.push('>');
        within(self);
        // a line for each closing tag of a block keeps the source readable
        let end = if matches!(tag, "span" | "b" | "code" | "title" | "text") { "" } else { "\n" };
        write!(self.0, "</{tag}>{end}").expect("a String takes everything");
    }

    /// An element with text in it.
    pub fn leaf(&mut self, tag: &str, attributes: &[Attribute], text: &str) {
        self.element(tag, attributes, |within| within.text(text));
    }

    /// An element with nothing in it.
    pub fn void(&mut self, tag: &str, attributes: &[Attribute]) {
        self.start(tag, attributes);
        self.0.push_str("/>");
    }

    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    /// The rules of a style sheet, which are ours and have nothing to escape.
    pub fn style(&mut self, rules: &'static str) {
        assert!(!rules.contains(['<', '>', '&']), "a style sheet without markup");
        self.element("style", &[], |within| within.0.push_str(rules));
    }

    /// Our own script. It is the text of an element that ends where it ends.
    pub fn script(&mut self, code: &'static str) {
        assert!(!code.contains("</") && !code.contains("<!"), "a script without markup");
        self.element("script", &[], |within| within.0.push_str(code));
    }

    /// Values for the script, of a class. JSON has other ways to write what could be markup.
    pub fn data(&mut self, class: &str, values: &serde_json::Value) {
        let json = values.to_string();
        let json = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        self.element("script", &[("type", "application/json"), ("class", class)], |within| {
            within.0.push_str(&json);
        });
    }

    pub fn into_text(self) -> String {
        self.0
    }

    fn start(&mut self, tag: &str, attributes: &[Attribute]) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            write!(self.0, " {name}=\"").expect("a String takes everything");
            escape(value, &mut self.0);
            self.0.push('"');
        }
    }
}

/// Characters with a meaning become references; control characters, which HTML does not allow, U+FFFD.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            // marks that reorder the text around them hide what a name is
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_cannot_become_markup() {
        let mut markup = Markup::default();
        markup.leaf("b", &[("title", "\"><script>")], "</b><script>alert('x') & \u{1b}\u{202e}</script>");
        assert_eq!(
            markup.into_text(),
            "<b title=\"&quot;&gt;&lt;script&gt;\">&lt;/b&gt;&lt;script&gt;alert(&#39;x&#39;) &amp; \
             \u{fffd}\u{fffd}&lt;/script&gt;</b>"
        );
    }

    #[test]
    fn values_cannot_end_their_element() {
        let mut markup = Markup::default();
        markup.data(
            "marks",
            &serde_json::json!(["</script><script>alert(1)</script>", "<!-- & -->", "\u{2028}"]),
        );
        let text = markup.into_text();
        let json = text.strip_prefix("<script type=\"application/json\" class=\"marks\">").expect("a start");
        let json = json.strip_suffix("</script>\n").expect("an end");
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let read: Vec<String> = serde_json::from_str(json).expect("JSON");
        assert_eq!(read, ["</script><script>alert(1)</script>", "<!-- & -->", "\u{2028}"]);
    }

    #[test]
    fn elements_close_in_order() {
        let mut markup = Markup::default();
        markup.element("ul", &[("class", "a b")], |list| {
            list.leaf("li", &[], "one");
            list.void("br", &[]);
        });
        assert_eq!(markup.into_text(), "<ul class=\"a b\"><li>one</li>\n<br/></ul>\n");
    }
}
