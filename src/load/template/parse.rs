//! Topic templates as they are typed.

use super::{Pick, Piece, Template, TemplateError};
use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// What a backslash takes the meaning from.
const SPECIAL: &str = "[]<>{},%\\";

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty(text.into()));
        }
        if text.contains(['+', '#']) {
            return Err(TemplateError::Wildcard(text.into()));
        }
        if text.contains('\0') {
            return Err(TemplateError::Null(text.into()));
        }
        let mut reader = Reader {
            template: text,
            rest: text.chars().peekable(),
            plain: String::new(),
            pieces: Vec::new(),
        };
        while let Some(char) = reader.rest.next() {
            match char {
                '\\' => reader.escaped(),
                '%' => reader.field()?,
                '[' | '<' => reader.pick(char)?,
                _ => reader.plain.push(char),
            }
        }
        reader.end_plain();
        Ok(Template(reader.pieces))
    }
}

struct Reader<'a> {
    template: &'a str,
    rest: Peekable<Chars<'a>>,
    /// Text that is no piece yet.
    plain: String,
    pieces: Vec<Piece>,
}

impl Reader<'_> {
    fn end_plain(&mut self) {
        if !self.plain.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.plain)));
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self) {
        self.plain.push(self.rest.next_if(|&next| SPECIAL.contains(next)).unwrap_or('\\'));
    }

    /// What follows a percent sign.
    fn field(&mut self) -> Result<(), TemplateError> {
        let field = self.rest.next();
        let piece = match field {
            Some('%') => {
                self.plain.push('%');
                return Ok(());
            }
            Some('c') => Piece::ClientId,
            Some('i') => Piece::Index(self.modulus()?),
            Some('n') => Piece::Sequence,
            Some('N') => Piece::Total,
            Some('p') => Piece::Pair,
            Some('r') => Piece::RunId,
            _ => {
                let field = field.map(String::from).unwrap_or_default();
                return Err(TemplateError::UnknownField { template: self.template.into(), field });
            }
        };
        self.end_plain();
        self.pieces.push(piece);
        Ok(())
    }

    /// The `{4}` of `%i{4}`, if there is one.
    fn modulus(&mut self) -> Result<Option<u32>, TemplateError> {
        if self.rest.next_if_eq(&'{').is_none() {
            return Ok(None);
        }
        let template = || self.template.to_owned();
        let mut modulus = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some(char) => modulus.push(char),
                None => return Err(TemplateError::Unclosed { template: template(), bracket: '{' }),
            }
        }
        match modulus.parse() {
            Ok(number @ 1..) if modulus.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(number)),
            _ => Err(TemplateError::Modulus { template: template(), modulus }),
        }
    }

    /// What follows `[` or `<`.
    fn pick(&mut self, open: char) -> Result<(), TemplateError> {
        self.end_plain();
        let random = open == '[';
        let close = if random { ']' } else { '>' };
        let mut choices = Vec::new();
        loop {
            match self.rest.next() {
                None => {
                    return Err(TemplateError::Unclosed { template: self.template.into(), bracket: open });
                }
                Some('\\') => self.escaped(),
                Some('%') if self.rest.next_if_eq(&'%').is_some() => self.plain.push('%'),
                Some(char @ ('%' | '[' | '<')) => {
                    let field = if char == '%' { self.rest.next() } else { None };
                    let field = [Some(char), field].into_iter().flatten().collect();
                    return Err(TemplateError::FieldInPick { template: self.template.into(), field });
                }
                Some(',') => choices.push(std::mem::take(&mut self.plain)),
                Some(char) if char == close => {
                    choices.push(std::mem::take(&mut self.plain));
                    break;
                }
                Some(char) => self.plain.push(char),
            }
        }
        if choices.iter().any(String::is_empty) {
            let pick = format!("{open}{}{close}", choices.join(","));
            return Err(TemplateError::EmptyPick { template: self.template.into(), pick });
        }
        self.pieces.push(Piece::Pick(Pick { choices, random }));
        Ok(())
    }
}

/// Plain text as it is typed where the characters `meaning` mean something.
pub(super) fn escape(text: &str, meaning: &str) -> String {
    let mut typed = String::new();
    for char in text.chars() {
        match char {
            '%' => typed.push('%'),
            '\\' => typed.push('\\'),
            _ if meaning.contains(char) => typed.push('\\'),
            _ => {}
        }
        typed.push(char);
    }
    typed
}
