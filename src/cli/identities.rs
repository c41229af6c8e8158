//! `--clients-file`: what each client has of its own, from a CSV file with a line for each, or from a pattern.
//!
//! Errors name the line and the column, and never what stands there: it may be a secret.

use super::Usage;
use crate::crew::{Field, Identities, Packing};
use crate::engine::OwnSources;
use csv::{ByteRecord, ReaderBuilder, Terminator};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

/// What the clients of a command may have of their own.
pub struct Crowd<'a> {
    /// How many there are.
    pub clients: usize,
    /// Whether all of them have a user name.
    pub has_username: bool,
    /// Whether they may show certificates.
    pub has_certificates: bool,
    /// The places of the keys of TLS-PSK by what they are called; `None` without TLS-PSK.
    pub keys: Option<HashMap<&'a [u8], u32>>,
    pub topics: Topics<'a>,
}

/// Topics of their own.
pub enum Topics<'a> {
    /// There are none, because of this.
    None(&'static str),
    /// Whether a topic will do for the client with this index.
    Each(&'a dyn Fn(u32, &str) -> Result<(), String>),
}

/// What the file says.
#[derive(Default, Debug)]
pub struct Found {
    pub identities: Identities,
    pub sources: OwnSources,
    /// The places of the clients' keys, where they say which.
    pub keys: Vec<u32>,
}

/// A column of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    Of(Field),
    PasswordFile,
    PskIdentity,
    Source,
}

const COLUMNS: [(&str, Column); 9] = [
    ("id", Column::Of(Field::Id)),
    ("username", Column::Of(Field::Username)),
    ("password", Column::Of(Field::Password)),
    ("password_file", Column::PasswordFile),
    ("cert", Column::Of(Field::Cert)),
    ("key", Column::Of(Field::Key)),
    ("psk_identity", Column::PskIdentity),
    ("source", Column::Source),
    ("topic", Column::Of(Field::Topic)),
];

/// What stands for the index of a client in a pattern.
const INDEX: &str = "%i";

/// Reads `text`, the name of a file or a pattern such as `id=device-%i,username=user-%i`.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read(text: &str, crowd: &Crowd<'_>) -> Result<Found, Usage> {
    let pattern = text.split_once('=').is_some_and(|(name, _)| column(name.trim_matches('"')).is_some());
    if pattern { from_pattern(text, crowd) } else { from_file(Path::new(text), crowd) }
}

fn column(name: &str) -> Option<(&'static str, Column)> {
    COLUMNS.into_iter().find(|(known, _)| *known == name)
}

fn from_pattern(text: &str, crowd: &Crowd<'_>) -> Result<Found, Usage> {
    let error = |what: Fault| Usage(format!("--clients-file{what}"));
    let mut cells = ByteRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.read_byte_record(&mut cells).map_err(|fault| error(Fault::new(fault)))?;
    let pairs = cells.iter().map(|cell| {
        let cell = std::str::from_utf8(cell).expect("a piece of a text");
        cell.split_once('=').ok_or_else(|| error(Fault::new("expected COLUMN=TEXT, divided by commas")))
    });
    let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
    let mut rows = Rows::new(pairs.iter().map(|(name, _)| name.as_bytes()), crowd).map_err(error)?;
    if rows.columns.iter().any(|(_, column)| *column == Column::Of(Field::Password)) {
        return Err(error(Fault::of(
            "password",
            "it would be in the command line; name files with password_file",
        )));
    }
    let mut row = ByteRecord::new();
    for index in 0..crowd.clients {
        row.clear();
        let number = index.to_string();
        pairs.iter().for_each(|(_, text)| row.push_field(text.replace(INDEX, &number).as_bytes()));
        rows.push(&row).map_err(error)?;
    }
    rows.finish().map_err(|Twins([first, second])| {
        error(Fault::of("id", format!("clients {first} and {second} have the same; put {INDEX} into it")))
    })
}

fn from_file(path: &Path, crowd: &Crowd<'_>) -> Result<Found, Usage> {
    let error = |what: Fault| Usage(format!("--clients-file {}{what}", path.display()));
    let open = || File::open(path);
    let file = open().map_err(|fault| error(Fault::new(fault)))?;
    let bytes = file.metadata().map_or(0, |data| data.len()) as usize;
    let mut lines = Lines::new(file);
    if !lines.next().map_err(|fault| error(Fault::new(fault)))? {
        let what = format!("it is empty; its first line names the columns, some of {}", names());
        return Err(error(Fault::new(what)));
    }
    let mut rows = Rows::new(lines.cells(), crowd).map_err(|fault| error(fault.at(lines.number())))?;
    // Not more than there is, in a file that says how much it is.
    let known = if bytes == 0 { 0 } else { crowd.clients.min(bytes) };
    rows.packing.reserve(known, bytes);
    while rows.clients < crowd.clients {
        if !lines.next().map_err(|fault| error(Fault::new(fault)))? {
            let Rows { clients, .. } = rows;
            let what = format!(
                "it has {clients} lines, but there are {} clients; every client needs one",
                crowd.clients
            );
            return Err(error(Fault::new(what)));
        }
        rows.push(&lines.row).map_err(|fault| error(fault.at(lines.number())))?;
    }
    rows.finish().map_err(|Twins([first, second])| {
        let line = |client| open().ok().and_then(|file| Lines::line_of(file, client));
        let [first, second] = [first, second].map(|client| match line(client) {
            Some(line) => format!("line {line}"),
            // What was read once may be gone: a pipe.
            None => format!("client {client}"),
        });
        error(Fault::of("id", format!("{first} and {second} have the same; a broker throws out one of them")))
    })
}

/// The names of all columns.
fn names() -> String {
    COLUMNS.map(|(name, _)| name).join(",")
}

/// The lines of a file that hold something, as CSV has it.
struct Lines {
    reader: csv::Reader<std::io::Chain<File, &'static [u8]>>,
    row: ByteRecord,
}

impl Lines {
    fn new(file: File) -> Lines {
        // So that every line has an end: then lines can be counted from there.
        let file = file.chain(&b"\n"[..]);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
        Lines { reader: builder.from_reader(file), row: ByteRecord::new() }
    }

    /// Goes on to the next; answers whether there is one.
    fn next(&mut self) -> Result<bool, csv::Error> {
        while self.reader.read_byte_record(&mut self.row)? {
            let at = self.row.len() - 1;
            // Of the ends of lines that other systems write.
            let Some(last) = self.row[at].strip_suffix(b"\r") else { return Ok(true) };
            if at > 0 || !last.is_empty() {
                let cells: Vec<_> = self.row.iter().take(at).chain([last]).map(<[u8]>::to_vec).collect();
                self.row = ByteRecord::from(cells);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mark = "\u{feff}".as_bytes();
        self.row.iter().map(move |cell| cell.strip_prefix(mark).unwrap_or(cell))
    }

    /// Where the line begins: a cell between quotes may have several.
    fn number(&self) -> u64 {
        let within = self.row.iter().flatten().filter(|byte| **byte == b'\n').count();
        self.reader.position().line() - 1 - within as u64
    }

    /// Where the line of a client is.
    fn line_of(file: File, client: usize) -> Option<u64> {
        let mut lines = Lines::new(file);
        for _ in 0..client + 2 {
            lines.next().ok().filter(|more| *more)?;
        }
        Some(lines.number())
    }
}

/// Two clients with one id.
struct Twins([usize; 2]);

/// What is wrong, and where.
struct Fault {
    line: Option<u64>,
    column: Option<&'static str>,
    what: String,
}

impl Fault {
    fn new(what: impl ToString) -> Fault {
        Fault { line: None, column: None, what: what.to_string() }
    }

    fn of(column: &'static str, what: impl ToString) -> Fault {
        Fault { column: Some(column), ..Fault::new(what) }
    }

    fn at(self, line: u64) -> Fault {
        Fault { line: Some(line), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.map_or(Ok(()), |line| write!(f, ", line {line}"))?;
        self.column.map_or(Ok(()), |column| write!(f, ", column `{column}`"))?;
        write!(f, ": {}", self.what)
    }
}

/// The lines that were read.
struct Rows<'a> {
    crowd: &'a Crowd<'a>,
    columns: Vec<(&'static str, Column)>,
    packing: Packing,
    sources: OwnSources,
    keys: Vec<u32>,
    clients: usize,
}

impl<'a> Rows<'a> {
    /// None yet, of a file with these names of columns.
    fn new<'n>(header: impl Iterator<Item = &'n [u8]>, crowd: &'a Crowd<'a>) -> Result<Rows<'a>, Fault> {
        let mut columns: Vec<(&'static str, Column)> = Vec::new();
        for (number, name) in (1..).zip(header) {
            let known = std::str::from_utf8(name).ok().and_then(|name| column(name.trim()));
            // Who forgets the header has a client there, and its password.
            let named @ (name, _) = known.ok_or_else(|| {
                let names = names();
                Fault::new(format!(
                    "column {number} has no known name; the first line names the columns, some of {names}"
                ))
            })?;
            if columns.contains(&named) {
                return Err(Fault::of(name, "it is there twice; leave one out"));
            }
            columns.push(named);
        }
        let named = |column| columns.iter().find(|(_, one)| *one == column).map(|(name, _)| *name);
        if let (Some(name), Some(_)) = (named(Column::PasswordFile), named(Column::Of(Field::Password))) {
            return Err(Fault::of(name, "there is a column `password`, too; leave one out"));
        }
        match (named(Column::Of(Field::Cert)), named(Column::Of(Field::Key))) {
            (Some(name), Some(_)) if !crowd.has_certificates => {
                return Err(Fault::of(
                    name,
                    "it is for TLS with certificates; ask for that with --tls or mqtts://host",
                ));
            }
            (Some(name), None) | (None, Some(name)) => {
                return Err(Fault::of(
                    name,
                    "a certificate needs a key; give both columns, `cert` and `key`",
                ));
            }
            _ => {}
        }
        if let (None, Some(name)) = (&crowd.keys, named(Column::PskIdentity)) {
            return Err(Fault::of(name, "it is for TLS-PSK; name the file of the keys with --psk_file"));
        }
        if let (Topics::None(why), Some(name)) = (&crowd.topics, named(Column::Of(Field::Topic))) {
            return Err(Fault::of(name, why));
        }
        let fields = columns.iter().filter_map(|(_, column)| match column {
            Column::Of(field) => Some(*field),
            Column::PasswordFile => Some(Field::Password),
            Column::PskIdentity | Column::Source => None,
        });
        let packing = Packing::new(fields.collect(), columns.iter().map(|(name, _)| *name).collect());
        Ok(Rows { crowd, columns, packing, sources: OwnSources::default(), keys: Vec::new(), clients: 0 })
    }

    /// The next client.
    fn push(&mut self, row: &ByteRecord) -> Result<(), Fault> {
        if row.len() != self.columns.len() {
            return Err(Fault::new(format!("{} cells for {} columns", row.len(), self.columns.len())));
        }
        let (mut username, mut password) = (self.crowd.has_username, None);
        for ((name, column), cell) in self.columns.iter().zip(row) {
            let fault = |what: String| Fault::of(name, what);
            let read;
            let cell = match column {
                Column::PasswordFile if !cell.is_empty() => {
                    read = password_file(cell).map_err(fault)?;
                    &read
                }
                _ => cell,
            };
            match column {
                Column::Source => {
                    let address = source(cell).map_err(fault)?;
                    self.sources.push(address).map_err(|error| fault(error.to_string()))?;
                    continue;
                }
                Column::PskIdentity => {
                    let place = self.key(cell).map_err(fault)?;
                    self.keys.push(place);
                    continue;
                }
                _ if cell.is_empty() => {}
                Column::Of(Field::Password) | Column::PasswordFile => password = Some(*name),
                Column::Of(Field::Username) => username = true,
                Column::Of(_) => {}
            }
            self.check(*column, cell).map_err(fault)?;
            self.packing.push(cell).map_err(|error| fault(error.to_string()))?;
        }
        self.clients += 1;
        match password.filter(|_| !username) {
            Some(name) => Err(Fault::of(
                name,
                "a password needs a user name [MQTT-3.1.2-22]; give it in the column `username`, or one for all with \
                 --username",
            )),
            None => Ok(()),
        }
    }

    /// Whether MQTT can carry what is in a cell.
    fn check(&self, column: Column, cell: &[u8]) -> Result<(), String> {
        if cell.len() > usize::from(u16::MAX) {
            return Err(format!("{} bytes; MQTT allows at most 65,535", cell.len()));
        }
        let Column::Of(field) = column else { return Ok(()) };
        if field == Field::Password || cell.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(cell).map_err(|_| "not UTF-8".to_owned())?;
        if text.contains('\0') {
            return Err("the character U+0000, which MQTT forbids [MQTT-1.5.3-2]".into());
        }
        match (field, &self.crowd.topics) {
            (Field::Topic, Topics::Each(check)) => check(self.clients as u32, text),
            _ => Ok(()),
        }
    }

    /// The place of the key of the next client, who is called `identity`.
    fn key(&self, identity: &[u8]) -> Result<u32, String> {
        let known = self.crowd.keys.as_ref().and_then(|keys| keys.get(identity)).copied();
        match known {
            // As it is with all cells: what flags say, which is a line of the file for each client.
            None if identity.is_empty() => Ok(self.clients as u32),
            None => Err("there is no key of this name in --psk_file; put it there".into()),
            Some(place) => Ok(place),
        }
    }

    /// All of them.
    fn finish(self) -> Result<Found, Twins> {
        let identities = self.packing.finish();
        if identities.has(Field::Id) {
            let mut by_id: Vec<u32> = (0..self.clients as u32).collect();
            by_id.sort_unstable_by_key(|index| (identities.id(*index), *index));
            let twins = by_id.windows(2).find(|pair| {
                let [first, second] = [pair[0], pair[1]].map(|index| identities.id(index));
                first.is_some() && first == second
            });
            if let Some(pair) = twins {
                return Err(Twins([pair[0] as usize, pair[1] as usize]));
            }
        }
        Ok(Found { identities, sources: self.sources, keys: self.keys })
    }
}

fn password_file(cell: &[u8]) -> Result<Vec<u8>, String> {
    let path = std::str::from_utf8(cell).map_err(|_| "not UTF-8".to_owned())?;
    let mut text = std::fs::read(path).map_err(|error| format!("the file it names: {error}"))?;
    // The newline that editors end files with is not part of it.
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(text)
}

fn source(cell: &[u8]) -> Result<Option<IpAddr>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let address = std::str::from_utf8(cell).ok().and_then(|text| text.trim().parse().ok());
    address.map(Some).ok_or_else(|| "expected an address of this machine, such as 192.0.2.7".into())
}

#[cfg(test)]
mod tests;
