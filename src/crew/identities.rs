//! What clients have of their own, of which no number tells: ids, passwords, topics.

use crate::transport::Keys;
use std::fmt;
use std::sync::Arc;

/// What may be a client's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Its identifier in CONNECT.
    Id,
    /// Its user name.
    Username,
    /// Its password.
    Password,
    /// The file of its certificate.
    Cert,
    /// The file of the certificate's key.
    Key,
    /// What it publishes to, or subscribes to.
    Topic,
}

/// What each client has of its own: one text for all of them, so that a million clients are not millions of strings. It is
/// shared, not copied.
#[derive(Clone, Default)]
pub struct Identities {
    packed: Arc<Packed>,
    /// Whether ids and topics are not to be told.
    nameless: bool,
    /// What clients are called in TLS-PSK, and their keys; without any there is none.
    keys: Keys,
    /// Whether who has no id is called as there.
    by_psk: bool,
}

#[derive(Default)]
struct Packed {
    /// What a client has, in the order of its cells.
    fields: Vec<Field>,
    /// The columns that it was read from.
    columns: Vec<&'static str>,
    /// All cells one after the other, client by client,
    text: Vec<u8>,
    /// and where each ends.
    ends: Vec<u32>,
}

impl fmt::Debug for Identities {
    /// Without what is in them: some of it is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("columns", &self.columns()).finish_non_exhaustive()
    }
}

impl Identities {
    /// The columns that they were read from.
    pub fn columns(&self) -> &[&'static str] {
        &self.packed.columns
    }

    /// The same for clients beside those that they were made for: what they log in with, and no id or topic.
    pub fn nameless(&self) -> Identities {
        Identities { nameless: true, ..self.clone() }
    }

    /// Whether clients have a `field` of their own.
    pub fn has(&self, field: Field) -> bool {
        self.place(field).is_some()
    }

    /// The same, with keys for TLS-PSK.
    pub fn with_keys(self, keys: Keys) -> Identities {
        Identities { keys, ..self }
    }

    /// The keys for TLS-PSK.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The same, with clients that have no id called as in TLS-PSK.
    pub fn named_by_psk(self) -> Identities {
        Identities { by_psk: true, ..self }
    }

    /// The id of client `index`.
    pub fn id(&self, index: u32) -> Option<&str> {
        let by_psk = || self.psk_identity(index).filter(|_| self.by_psk && !self.nameless);
        self.text(index, Field::Id).or_else(by_psk)
    }

    /// The user name of client `index`.
    pub fn username(&self, index: u32) -> Option<&str> {
        self.text(index, Field::Username)
    }

    /// The password of client `index`.
    pub fn password(&self, index: u32) -> Option<&[u8]> {
        self.get(index, Field::Password)
    }

    /// The file with the certificate of client `index`.
    pub fn cert(&self, index: u32) -> Option<&str> {
        self.text(index, Field::Cert)
    }

    /// The file with the key of client `index`.
    pub fn key(&self, index: u32) -> Option<&str> {
        self.text(index, Field::Key)
    }

    /// What client `index` is called in TLS-PSK.
    pub fn psk_identity(&self, index: u32) -> Option<&str> {
        let (identity, _) = self.keys.get(index)?;
        Some(std::str::from_utf8(identity).expect("it was given as text"))
    }

    /// What client `index` publishes to, or subscribes to.
    pub fn topic(&self, index: u32) -> Option<&str> {
        self.text(index, Field::Topic)
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.packed.text.capacity() + self.packed.ends.capacity() * size_of::<u32>()
    }

    fn place(&self, field: Field) -> Option<usize> {
        let hidden = self.nameless && matches!(field, Field::Id | Field::Topic);
        self.packed.fields.iter().position(|one| *one == field && !hidden)
    }

    fn text(&self, index: u32, field: Field) -> Option<&str> {
        self.get(index, field).map(|text| std::str::from_utf8(text).expect("it was packed as text"))
    }

    /// What there is of client `index`, from the first again when there are more clients; nothing where a cell is empty.
    fn get(&self, index: u32, field: Field) -> Option<&[u8]> {
        let place = self.place(field)?;
        let Packed { fields, text, ends, .. } = &*self.packed;
        let client = (index as usize).checked_rem(ends.len() / fields.len())?;
        let cell = client * fields.len() + place;
        let start = cell.checked_sub(1).map_or(0, |before| ends[before]);
        let found = &text[start as usize..ends[cell] as usize];
        Some(found).filter(|found| !found.is_empty())
    }
}

/// More text than can be packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("all clients together have more than 4 GiB of text; shorten it, or spread them over several runs")]
pub struct TooMuchText;

/// Identities in the making.
pub struct Packing(Packed);

impl Packing {
    /// Of clients with these `fields`, as read from `columns`.
    pub fn new(fields: Vec<Field>, columns: Vec<&'static str>) -> Packing {
        Packing(Packed { fields, columns, ..Packed::default() })
    }

    /// Makes room for `clients` with so many `bytes` of text in all.
    pub fn reserve(&mut self, clients: usize, bytes: usize) {
        self.0.text.reserve(bytes);
        self.0.ends.reserve(clients * self.0.fields.len());
    }

    /// The next cell: of the client under way or, with its last field, of the next. All but passwords are UTF-8.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn push(&mut self, cell: &[u8]) -> Result<(), TooMuchText> {
        let end = u32::try_from(self.0.text.len() + cell.len()).map_err(|_| TooMuchText)?;
        self.0.text.extend_from_slice(cell);
        self.0.ends.push(end);
        Ok(())
    }

    /// What was packed.
    pub fn finish(self) -> Identities {
        let Packing(mut packed) = self;
        packed.text.shrink_to_fit();
        packed.ends.shrink_to_fit();
        Identities { packed: Arc::new(packed), ..Identities::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(fields: &[Field], rows: &[&[&str]]) -> Identities {
        let mut packing = Packing::new(fields.to_vec(), vec!["these"]);
        rows.iter().copied().flatten().for_each(|cell| packing.push(cell.as_bytes()).unwrap());
        packing.finish()
    }

    #[test]
    fn every_client_has_its_own_and_an_empty_cell_is_nothing() {
        let all = packed(
            &[Field::Password, Field::Id, Field::Topic],
            &[&["secret", "a", "t/a"], &["", "b", ""], &["x", "", "t/c"]],
        );
        let rows: Vec<_> =
            (0..4).map(|index| (all.id(index), all.password(index), all.topic(index))).collect();
        assert_eq!(rows[0], (Some("a"), Some(&b"secret"[..]), Some("t/a")));
        assert_eq!(rows[1], (Some("b"), None, None));
        assert_eq!(rows[2], (None, Some(&b"x"[..]), Some("t/c")));
        assert_eq!(rows[3], rows[0], "from the first again");
        assert!(all.has(Field::Id) && !all.has(Field::Cert));
        assert_eq!((all.username(0), all.cert(0), all.key(0), all.psk_identity(0)), (None, None, None, None));
        assert_eq!(Identities::default().id(0), None);
        assert_eq!(packed(&[Field::Id], &[]).id(0), None);
    }

    #[test]
    fn who_stands_beside_them_has_no_name_of_theirs() {
        let all = packed(&[Field::Id, Field::Username, Field::Topic], &[&["a", "user", "t"]]).nameless();
        assert_eq!((all.id(0), all.username(0), all.topic(0)), (None, Some("user"), None));
        assert!(!all.has(Field::Topic));
    }

    #[test]
    fn who_has_no_id_may_be_called_as_in_tls_psk() {
        let mut keys = Keys::default();
        ["bee-0", "bee-1"].into_iter().for_each(|name| keys.push(name, "00").unwrap());
        let all = packed(&[Field::Id], &[&["a"], &[""]]).with_keys(keys);
        assert_eq!((all.id(0), all.id(1), all.psk_identity(1)), (Some("a"), None, Some("bee-1")));
        let all = all.named_by_psk();
        assert_eq!((all.id(0), all.id(1), all.nameless().id(1)), (Some("a"), Some("bee-1"), None));
    }

    #[test]
    fn a_million_clients_take_their_text_and_four_bytes_a_cell() {
        let mut packing = Packing::new(vec![Field::Id, Field::Password], vec!["id", "password"]);
        (0..1000).for_each(|_| {
            packing.push(b"client-1234").unwrap();
            packing.push(b"secret").unwrap();
        });
        assert_eq!(packing.finish().bytes(), 1000 * ("client-1234secret".len() + 2 * 4));
    }

    #[test]
    fn what_is_told_of_them_has_nothing_of_their_content() {
        let all = packed(&[Field::Id, Field::Password], &[&["who", "hunter2"]]);
        let told = format!("{all:?} {:#?}", all.nameless());
        assert!(told.contains("these") && !told.contains("who") && !told.contains("hunter2"), "{told}");
    }
}
