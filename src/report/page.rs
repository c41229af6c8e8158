//! Laying out labelled sections on a page of a given width.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

/// Lines of a screen.
const SCREEN: usize = 40;
/// Columns of the labels, their gap included: `flight response` and two.
const LABELS: usize = 17;
/// Below this width labels stand on lines of their own.
const BESIDE: usize = 72;
/// Indentation under labels that stand alone.
const INDENT: usize = 2;
/// Columns between two cells of a table.
const GAP: usize = 2;
/// Columns between two items, which have spaces of their own.
const ITEM_GAP: usize = 3;
/// Most items in a line.
const ITEMS: usize = 4;

/// How a line stands out where colour is allowed (SGR parameters of ECMA-48).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tint {
    Good,
    Warning,
    Bad,
    Label,
}

impl Tint {
    fn codes(self) -> &'static str {
        match self {
            Tint::Good => "1;32",
            Tint::Warning => "1;33",
            Tint::Bad => "1;31",
            Tint::Label => "1",
        }
    }
}

/// One column of a table.
pub struct Column {
    pub header: &'static str,
    /// Columns of a low rank stay when the page is too narrow for all.
    pub rank: u8,
    /// One cell for each row.
    pub cells: Vec<String>,
}

/// Lines of text under way.
pub struct Page {
    width: usize,
    color: bool,
    lines: Vec<String>,
}

impl Page {
    pub fn new(width: usize, color: bool) -> Page {
        Page { width, color, lines: Vec::new() }
    }

    /// Lines of a screen that are still free, the blank ones between sections counted as free. A page too
    /// narrow for labels beside their text scrolls anyway and always has room.
    pub fn lines_left(&self) -> usize {
        if self.width < BESIDE {
            return SCREEN;
        }
        SCREEN.saturating_sub(self.lines.iter().filter(|line| !line.is_empty()).count())
    }

    pub fn into_text(mut self) -> String {
        // beside their labels sections tell themselves apart; under them they need the space
        if self.lines.len() > SCREEN && self.width >= BESIDE {
            self.lines.retain(|line| !line.is_empty());
        }
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    pub fn blank(&mut self) {
        self.lines.push(String::new());
    }

    /// A line of its own from the first column on, wrapped.
    pub fn headline(&mut self, text: &str, tint: Tint) {
        for line in wrap(text, self.width) {
            let line = self.tinted(&line, tint);
            self.lines.push(line);
        }
    }

    /// An indented paragraph.
    pub fn note(&mut self, text: &str) {
        for line in wrap(text, self.width - INDENT) {
            self.lines.push(format!("{:INDENT$}{line}", ""));
        }
    }

    /// A paragraph beside its label.
    pub fn paragraph(&mut self, label: &str, text: &str) {
        let lines = wrap(text, self.width - self.margin());
        self.labelled(label, lines);
    }

    /// Short items beside their label, in aligned columns: as many as fit, at most four.
    pub fn items(&mut self, label: &str, items: &[String]) {
        let room = self.width - self.margin();
        let widths = (1..=ITEMS).rev().map(|columns| item_widths(items, columns));
        let fitting = widths.into_iter().find(|widths| widths.iter().sum::<usize>() <= room + ITEM_GAP);
        let mut lines = Vec::new();
        // without a fitting width some item is wider than the page
        for row in items.chunks(fitting.as_ref().map_or(1, Vec::len)) {
            match &fitting {
                Some(widths) => {
                    let cells = row.iter().zip(widths).map(|(item, width)| format!("{item:width$}"));
                    lines.push(cells.collect::<String>().trim_end().to_owned());
                }
                None => lines.extend(row.iter().flat_map(|item| wrap(item, room))),
            }
        }
        self.labelled(label, lines);
    }

    /// A table with a header: a column of row labels, then as many columns, right-aligned and in their order,
    /// as fit.
    pub fn table(&mut self, title: &str, rows: &[&str], columns: Vec<Column>) {
        let labels = rows.iter().chain([&title]).map(|label| label.chars().count()).max().unwrap_or(0);
        let beside = self.width >= BESIDE;
        let gap = if beside { GAP } else { 1 };
        let labels = if beside { labels.max(LABELS - GAP) } else { labels };
        let columns = fitting(columns, self.width.saturating_sub(labels), gap);
        let mut table = Table::new();
        table
            .load_preset(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let header = columns.iter().map(|column| Cell::new(column.header));
        table.set_header([Cell::new(format!("{title:labels$}"))].into_iter().chain(header));
        for (at, row) in rows.iter().enumerate() {
            let cells = columns.iter().map(|column| Cell::new(&column.cells[at]));
            table.add_row([Cell::new(row)].into_iter().chain(cells));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding(if at == 0 { (0, 0) } else { (gap as u16, 0) });
            column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
        }
        for (at, line) in table.trim_fmt().lines().enumerate() {
            let line = if at == 0 { self.tint_label(line, title) } else { line.to_owned() };
            self.lines.push(line);
        }
    }

    /// Columns in front of what stands beside or under a label.
    fn margin(&self) -> usize {
        if self.width >= BESIDE { LABELS } else { INDENT }
    }

    fn labelled(&mut self, label: &str, lines: Vec<String>) {
        let beside = self.width >= BESIDE;
        let margin = self.margin();
        if !beside && !label.is_empty() {
            let label = self.tinted(label, Tint::Label);
            self.lines.push(label);
        }
        for (at, line) in lines.iter().enumerate() {
            let label = if beside && at == 0 { label } else { "" };
            let line = format!("{label:margin$}{line}");
            let line = self.tint_label(&line, label);
            self.lines.push(line);
        }
    }

    fn tint_label(&self, line: &str, label: &str) -> String {
        match line.strip_prefix(label) {
            Some(rest) if !label.is_empty() => self.tinted(label, Tint::Label) + rest,
            _ => line.to_owned(),
        }
    }

    fn tinted(&self, text: &str, tint: Tint) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", tint.codes()) } else { text.to_owned() }
    }
}

/// Width of each of `columns` columns of items, the gap after it included.
fn item_widths(items: &[String], columns: usize) -> Vec<usize> {
    let mut widths = vec![ITEM_GAP; columns];
    for row in items.chunks(columns) {
        for (width, item) in widths.iter_mut().zip(row) {
            *width = (*width).max(item.chars().count() + ITEM_GAP);
        }
    }
    widths
}

/// The columns of lowest rank that fit `room`, in their own order; at least one.
fn fitting(mut columns: Vec<Column>, mut room: usize, gap: usize) -> Vec<Column> {
    let mut ranks: Vec<(u8, usize)> =
        columns.iter().map(|column| (column.rank, column_width(column))).collect();
    ranks.sort_unstable();
    let mut last = ranks.first().map_or(0, |first| first.0);
    for (at, (rank, width)) in ranks.iter().enumerate() {
        let needed = width + gap;
        if needed > room && at > 0 {
            break;
        }
        room = room.saturating_sub(needed);
        last = *rank;
    }
    columns.retain(|column| column.rank <= last);
    columns
}

fn column_width(column: &Column) -> usize {
    let cells = column.cells.iter().map(|cell| cell.chars().count());
    cells.chain([column.header.len()]).max().unwrap_or(0)
}

/// Words that stay on the line of the number before them.
const UNITS: [&str; 10] = ["ns", "us", "ms", "s", "%", "B", "KiB", "MiB", "GiB", "/s"];

/// Words, with numbers and their units as one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let unit = UNITS.contains(&word.trim_end_matches([',', ';', ')']));
        match words.last_mut() {
            Some(number) if unit && number.ends_with(|c: char| c.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Words in lines of at most `width` columns; longer words are split. Control characters, which could come
/// from a broker, are shown as `?`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let mut word: Vec<char> = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        } else if used > 0 {
            line.push(' ');
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        line.extend(word);
    }
    lines.push(line);
    lines
}
