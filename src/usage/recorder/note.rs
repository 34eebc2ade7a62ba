//! One request as it is noted, and the words it is handed on in.
//!
//! ```text
//! head   length of the name, or 192 and the number of a known one (8 bits) | outcome (8) | status (4)
//!        | carrier (4) | bucket (8) | weight (8) | server (16) | flags (8)
//! key    two words
//! secret number (32 bits) | cost (32)
//! time   milliseconds since 1970, if the flags say so; otherwise it is that of the record before
//! total  number of a counter (16 bits) | how many such requests it has counted (48), if the flags say so
//! from   an address, two words, if the flags say so
//! name   of the operation, as many words as it takes
//! ```
//!
//! What is noted on the way of a request is nearly always of the same time as what was noted before it, and
//! of a method of HTTP: it takes four words, half a cache line. Requests that are alike in all of these are
//! [counted](super::counters), and what they have come to is handed on in a record of its own.

use std::net::{IpAddr, Ipv6Addr};

use super::counters::Total;
use crate::clock::Timestamp;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::usage::{MAX_NAME, OTHER, UsageStatus};

/// A request, or that a key was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note<'n> {
    pub(crate) key: Option<KeyId>,
    pub(crate) credential: Option<CredentialId>,
    pub(crate) carrier: Option<Carrier>,
    /// A number that the recorder gave out.
    pub(crate) server: u16,
    pub(crate) operation: Operation<'n>,
    /// Zero if it was let through, or one more than the number of the reason.
    pub(crate) outcome: u8,
    pub(crate) status: UsageStatus,
    pub(crate) cost: u32,
    /// How long it took, as a bucket, and for how many requests it stands.
    pub(crate) time: Option<(u8, u8)>,
    pub(crate) address: Option<IpAddr>,
    /// That a key was seen, which counts as no request.
    pub(crate) is_sighting: bool,
}

/// A request that was let through and is named after its method, as most are, and how it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) key: KeyId,
    pub(crate) credential: CredentialId,
    pub(crate) carrier: Carrier,
    pub(crate) server: u16,
    pub(crate) method: KnownName,
    pub(crate) status: UsageStatus,
    pub(crate) cost: u32,
}

impl Ended {
    /// The words of the note with the time of the one before.
    #[inline]
    pub(super) fn words(self, time: Option<(u8, u8)>) -> [u64; 4] {
        let head = u64::from(KNOWN | self.method as u8)
            | u64::from(self.status as u8) << 16
            | u64::from(number_of(Some(self.carrier))) << 20
            | u64::from(self.server) << 40
            | (HAS_KEY | HAS_SECRET) << 56;
        let key = self.key.as_u128();
        let secret = u64::from(self.credential.as_u32()) | u64::from(self.cost) << 32;
        [head | timed(time), key as u64, (key >> 64) as u64, secret]
    }
}

/// The name of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'n> {
    Known(KnownName),
    Text(&'n str),
}

/// A name that was known when this was written, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum KnownName {
    None,
    Connect,
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
    Other,
}

impl KnownName {
    const ALL: [Self; 11] = [
        Self::None,
        Self::Connect,
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Trace,
        Self::Other,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
            Self::Other => OTHER,
        }
    }
}

impl<'n> Operation<'n> {
    pub(crate) const NONE: Operation<'static> = Operation::Known(KnownName::None);

    pub(crate) fn text(name: &'n str) -> Self {
        Self::Text(name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(""))
    }
}

/// The longest record: five words, an address, a name.
pub(super) const LONGEST: usize = 5 + 2 + MAX_NAME / 8;

/// What the number of a known name is added to, in the place of the length.
const KNOWN: u8 = 192;

const HAS_KEY: u64 = 1;
const HAS_SECRET: u64 = 2;
const HAS_ADDRESS: u64 = 4;
const IS_SIGHTING: u64 = 8;
const HAS_TIME: u64 = 16;
const IS_TOTAL: u64 = 32;

/// A record of four words with its time.
pub(super) fn dated([head, low, high, secret]: [u64; 4], at: Timestamp) -> [u64; 5] {
    let head = head | HAS_TIME << 56;
    [head, low, high, secret, at.as_millis().cast_unsigned()]
}

/// The record of what a counter has come to.
pub(super) fn of_total(total: &Total) -> [u64; 6] {
    let [head, low, high, secret] = total.words;
    let head = head | (HAS_TIME | IS_TOTAL) << 56;
    let count = u64::from(total.counter) | total.count << 16;
    [head, low, high, secret, total.time, count]
}

/// The note of requests that were counted.
pub(super) fn of_counted(words: [u64; 4], time: u64) -> Option<Read> {
    let at = Timestamp::from_millis(time.cast_signed());
    Read::of(&dated(words, at), at)
}

#[inline]
fn timed(time: Option<(u8, u8)>) -> u64 {
    let (bucket, weight) = time.map_or((0, 0), |(bucket, weight)| (bucket + 1, weight));
    u64::from(bucket) << 24 | u64::from(weight) << 32
}

fn first_words(note: &Note<'_>, length: u8, flags: u64) -> [u64; 4] {
    let key = note.key.map_or(0, KeyId::as_u128);
    let credential = note.credential.map_or(0, CredentialId::as_u32);
    let flags = flags
        | flag(note.key.is_some(), HAS_KEY)
        | flag(note.credential.is_some(), HAS_SECRET)
        | flag(note.address.is_some(), HAS_ADDRESS)
        | flag(note.is_sighting, IS_SIGHTING);
    let head = u64::from(length)
        | u64::from(note.outcome) << 8
        | u64::from(note.status as u8) << 16
        | u64::from(number_of(note.carrier)) << 20
        | timed(note.time)
        | u64::from(note.server) << 40
        | flags << 56;
    let secret = u64::from(credential) | u64::from(note.cost) << 32;
    [head, key as u64, (key >> 64) as u64, secret]
}

/// Any record, with its time.
pub(super) struct Record {
    words: [u64; LONGEST],
    length: usize,
}

impl Record {
    pub(super) fn of(note: &Note<'_>, at: Timestamp) -> Self {
        let length = match note.operation {
            Operation::Known(name) => KNOWN | name as u8,
            Operation::Text(text) => u8::try_from(text.len()).unwrap_or(0),
        };
        let mut record = Self {
            words: [0; LONGEST],
            length: 0,
        };
        for word in first_words(note, length, HAS_TIME) {
            record.add(word);
        }
        record.add(at.as_millis().cast_unsigned());
        record.add_rest(note);
        record
    }

    pub(super) fn words(&self) -> &[u64] {
        self.words.get(..self.length).unwrap_or_default()
    }

    /// An address, and a name that is not known.
    fn add_rest(&mut self, note: &Note<'_>) {
        if let Some(address) = note.address {
            let bits = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                IpAddr::V6(address) => address.to_bits(),
            };
            self.add(bits as u64);
            self.add((bits >> 64) as u64);
        }
        if let Operation::Text(text) = note.operation {
            for bytes in text.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word.iter_mut()
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from);
                self.add(u64::from_le_bytes(word));
            }
        }
    }

    fn add(&mut self, word: u64) {
        if let Some(place) = self.words.get_mut(self.length) {
            *place = word;
            self.length += 1;
        }
    }
}

fn flag(is_set: bool, flag: u64) -> u64 {
    if is_set { flag } else { 0 }
}

/// Puts notes together again from the words of a queue.
#[derive(Debug, Default)]
pub(super) struct Reader {
    words: Vec<u64>,
    wanted: usize,
    /// The time of the last record that had one, but for totals.
    time: u64,
}

/// A note as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Option<KeyId>,
    pub(super) credential: Option<CredentialId>,
    pub(super) carrier: Option<Carrier>,
    pub(super) server: u16,
    pub(super) outcome: u8,
    pub(super) status: UsageStatus,
    pub(super) cost: u32,
    pub(super) time: Option<(u8, u8)>,
    pub(super) address: Option<IpAddr>,
    pub(super) is_sighting: bool,
    pub(super) at: Timestamp,
    pub(super) name: Name,
    /// For the total of a counter: the number of that, and how many requests it has counted.
    pub(super) total: Option<(u16, u64)>,
}

/// The name of an operation, as it was read.
#[derive(Debug)]
pub(super) struct Name {
    bytes: [u8; MAX_NAME],
    length: usize,
}

impl Name {
    /// What stands in the place of the length, and the words of a name that is not known.
    fn of(length: u8, words: &[u64]) -> Option<Self> {
        let mut bytes = [0; MAX_NAME];
        let length = match length.checked_sub(KNOWN) {
            Some(number) => {
                let name = KnownName::ALL.get(usize::from(number))?.as_str();
                bytes
                    .get_mut(..name.len())?
                    .copy_from_slice(name.as_bytes());
                name.len()
            }
            None => {
                for (to, from) in bytes.chunks_exact_mut(8).zip(words) {
                    to.copy_from_slice(&from.to_le_bytes());
                }
                usize::from(length)
            }
        };
        Some(Self { bytes, length })
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Reader {
    /// Takes a word, and gives the note that it completes.
    pub(super) fn take(&mut self, word: u64) -> Option<Read> {
        if self.words.is_empty() {
            let has = |flag| usize::from(word >> 56 & flag != 0);
            let length = match byte(word, 0) {
                KNOWN.. => 0,
                length => usize::from(length),
            };
            self.wanted =
                4 + has(HAS_TIME) + has(IS_TOTAL) + 2 * has(HAS_ADDRESS) + length.div_ceil(8);
        }
        self.words.push(word);
        if self.words.len() < self.wanted {
            return None;
        }
        let note = Read::of(&self.words, Timestamp::from_millis(self.time.cast_signed()));
        if let Some(note) = note.as_ref().filter(|note| note.total.is_none()) {
            self.time = note.at.as_millis().cast_unsigned();
        }
        self.words.clear();
        note
    }
}

impl Read {
    /// What a record says, which is of this time if it does not say that itself.
    fn of(words: &[u64], time: Timestamp) -> Option<Self> {
        let [head, low, high, secret, rest @ ..] = words else {
            return None;
        };
        let flags = head >> 56;
        let has = |flag| flags & flag != 0;
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let (at, rest) = match rest {
            [time, rest @ ..] if has(HAS_TIME) => {
                (Timestamp::from_millis(time.cast_signed()), rest)
            }
            rest => (time, rest),
        };
        let (total, rest) = match rest {
            [total, rest @ ..] if has(IS_TOTAL) => (Some((*total as u16, total >> 16)), rest),
            rest => (None, rest),
        };
        let (address, rest) = match rest {
            [low, high, rest @ ..] if has(HAS_ADDRESS) => {
                let address = Ipv6Addr::from_bits(both(*low, *high));
                (Some(IpAddr::V6(address).to_canonical()), rest)
            }
            rest => (None, rest),
        };
        let nibble = |place: u32| byte(*head >> place, 0) & 15;
        Some(Self {
            key: has(HAS_KEY).then(|| KeyId::from_u128(both(*low, *high))),
            credential: has(HAS_SECRET).then(|| CredentialId::from_u32(*secret as u32)),
            carrier: carrier_of(nibble(20)),
            server: (*head >> 40) as u16,
            outcome: byte(*head, 1),
            status: *UsageStatus::ALL.get(usize::from(nibble(16)))?,
            cost: (*secret >> 32) as u32,
            time: byte(*head, 3)
                .checked_sub(1)
                .map(|bucket| (bucket, byte(*head, 4))),
            address,
            is_sighting: has(IS_SIGHTING),
            at,
            name: Name::of(byte(*head, 0), rest)?,
            total,
        })
    }
}

fn byte(word: u64, place: u32) -> u8 {
    (word >> (8 * place)) as u8
}

fn number_of(carrier: Option<Carrier>) -> u8 {
    match carrier {
        None => 0,
        Some(Carrier::Bearer) => 1,
        Some(Carrier::Header) => 2,
        Some(Carrier::Path) => 3,
        Some(Carrier::Other) => 4,
    }
}

fn carrier_of(number: u8) -> Option<Carrier> {
    match number {
        1 => Some(Carrier::Bearer),
        2 => Some(Carrier::Header),
        3 => Some(Carrier::Path),
        4 => Some(Carrier::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_note(
        numbers: (u128, u32, u16, u8, u32),
        carrier: u8,
        status: usize,
        time: Option<(u8, u8)>,
        address: Option<IpAddr>,
        has: (bool, bool, bool),
    ) -> Note<'static> {
        let (key, credential, server, outcome, cost) = numbers;
        Note {
            key: has.0.then(|| KeyId::from_u128(key)),
            credential: has.1.then(|| CredentialId::from_u32(credential)),
            carrier: carrier_of(carrier),
            server,
            operation: Operation::NONE,
            outcome,
            status: UsageStatus::ALL[status],
            cost,
            time,
            address,
            is_sighting: has.2,
        }
    }

    proptest! {
        /// Whatever is noted is read again as it was, through a queue of any content before it.
        #[test]
        fn notes_go_round(
            numbers in any::<(u128, u32, u16, u8, u32)>(),
            carrier in 0_u8..5,
            status in 0..UsageStatus::ALL.len(),
            time in proptest::option::of((0_u8..44, any::<u8>())),
            address in any::<Option<IpAddr>>(),
            has in any::<(bool, bool, bool)>(),
            name in ".{0,200}",
            millis in -60_000_000_000_000_i64..200_000_000_000_000,
            before in 0_usize..3,
        ) {
            let note = any_note(numbers, carrier, status, time, address, has);
            let note = Note { operation: Operation::text(&name), ..note };
            let at = Timestamp::from_millis(millis);
            let mut reader = Reader::default();
            for _ in 0..before {
                let other = Note { operation: Operation::Known(KnownName::Get), ..note };
                let words = Record::of(&other, at);
                let reads: Vec<_> =
                    words.words().iter().filter_map(|word| reader.take(*word)).collect();
                prop_assert_eq!(reads.len(), 1);
                prop_assert_eq!(reads[0].name.as_str(), "GET");
            }
            let record = Record::of(&note, at);
            let mut reads = record.words().iter().filter_map(|word| reader.take(*word));
            let read = reads.next().unwrap();
            prop_assert!(reads.next().is_none());
            let Operation::Text(kept) = note.operation else { unreachable!() };
            prop_assert!(kept.len() <= MAX_NAME && name.starts_with(kept));
            prop_assert_eq!(read.name.as_str(), kept);
            prop_assert_eq!(
                (read.key, read.credential, read.carrier, read.server, read.outcome),
                (note.key, note.credential, note.carrier, note.server, note.outcome)
            );
            prop_assert_eq!(
                (read.status, read.cost, read.time, read.is_sighting, read.at),
                (note.status, note.cost, note.time, note.is_sighting, at)
            );
            prop_assert_eq!(read.address, note.address.map(|address| address.to_canonical()));
        }
    }

    #[test]
    fn a_known_name_is_read_like_any_other() {
        let note = any_note((1, 1, 1, 0, 1), 1, 2, None, None, (true, true, false));
        let at = Timestamp::from_millis(5);
        for (number, name) in KnownName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, number);
            let known = Operation::Known(name);
            for operation in [known, Operation::text(name.as_str())] {
                let mut reader = Reader::default();
                let record = Record::of(&Note { operation, ..note }, at);
                let read = record.words().iter().find_map(|word| reader.take(*word));
                assert_eq!(read.unwrap().name.as_str(), name.as_str());
            }
        }
    }

    #[test]
    fn a_brief_record_says_the_same_and_is_of_the_time_of_the_one_before() {
        let times = [None, Some((0, 1)), Some((43, 255))];
        let carriers = [
            Carrier::Bearer,
            Carrier::Header,
            Carrier::Path,
            Carrier::Other,
        ];
        for (number, millis) in [5, -7, 1 << 40].into_iter().enumerate() {
            let at = Timestamp::from_millis(millis);
            for (time, carrier) in times.iter().flat_map(|time| carriers.map(|c| (*time, c))) {
                let ended = Ended {
                    key: KeyId::from_u128(u128::MAX / 3 + number as u128),
                    credential: CredentialId::FIRST,
                    carrier,
                    server: u16::MAX - 1,
                    method: KnownName::Post,
                    status: UsageStatus::ServerError,
                    cost: u32::MAX,
                };
                let note = Note {
                    key: Some(ended.key),
                    credential: Some(ended.credential),
                    carrier: Some(carrier),
                    server: ended.server,
                    operation: Operation::Known(ended.method),
                    outcome: 0,
                    status: ended.status,
                    cost: ended.cost,
                    time,
                    address: None,
                    is_sighting: false,
                };
                let record = Record::of(&note, at);
                assert_eq!(dated(ended.words(time), at), record.words());
                let mut reader = Reader::default();
                let words = record.words().iter().copied().chain(ended.words(time));
                let reads: Vec<_> = words.filter_map(|word| reader.take(word)).collect();
                assert_eq!(reads.len(), 2);
                for read in reads {
                    assert_eq!((read.at, read.time, read.key), (at, time, note.key));
                    assert_eq!(read.name.as_str(), "POST");
                }
            }
        }
    }
}
