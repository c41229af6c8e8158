//! `--psk_file`: TLS with keys instead of certificates.

use super::{Usage, keys};
use crate::transport::{Dialer, Keys};
use std::collections::HashMap;
use std::path::Path;

/// The keys of `file`, one for each of `clients`.
pub fn keys(file: &Path, clients: usize) -> Result<Keys, Usage> {
    let keys = keys::read_psk(file)?;
    match keys.len() {
        few if few < clients => Err(Usage(format!(
            "--psk_file {}: it has {few} keys, but there are {clients} clients; every client needs one",
            file.display(),
        ))),
        _ => Ok(keys),
    }
}

/// Where each identity is among `keys`.
pub fn places(keys: &Keys) -> HashMap<&[u8], u32> {
    let all = (0..keys.len() as u32).filter_map(|place| Some((keys.get(place)?.0, place)));
    all.collect()
}

/// What carries the connections of clients with `keys`.
#[cfg(feature = "psk")]
pub fn dialer(keys: Keys) -> Result<Dialer, Usage> {
    use crate::transport::psk::{Client, Settings};
    let client = Client::new(&Settings::default(), keys).map_err(|error| Usage(error.to_string()))?;
    Ok(Dialer::psk(client))
}

/// What carries the connections of clients with `keys`.
#[cfg(not(feature = "psk"))]
pub fn dialer(_: Keys) -> Result<Dialer, Usage> {
    Err(Usage(
        "--psk_file: this malaria-bench was built without TLS-PSK, which needs OpenSSL; install it (Debian: apt-get install \
         libssl-dev pkg-config) and build with `cargo install --path . --features psk`, as tools/install does where it finds it"
            .into(),
    ))
}
