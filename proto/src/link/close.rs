//! Why a stream or a connection ends: one code each, a sentence for people, and what the other side does about it.

use std::fmt;

/// What the side that is told does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The same is tried again after a pause; three refusals in a row of one object park it.
    Retry,
    /// The object is parked until a person looks at it: the same bytes would be refused again.
    Park,
    /// The connection is tried again, but slowly: only a person can change the answer.
    Person,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $disposition:ident, $sentence:literal;)+) => {
        /// Application error codes of QUIC close, stream reset and stop-sending, and of REFUSED. Numbers are the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* #[doc = concat!("`", $name, "`: ", $sentence, ".")] $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number),+ }
            }

            /// The name in SPEC.md and in logs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What happened, for a person.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence),+ }
            }

            /// What the side that is told does next.
            #[must_use]
            pub fn disposition(self) -> Disposition {
                match self { $(Self::$variant => Disposition::$disposition),+ }
            }

            /// The code of a number from the wire; none when this version does not know it.
            #[must_use]
            pub fn of(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    Done = 0x00, "DONE", Retry, "the other side ended the connection in order";
    GoAway = 0x01, "GOAWAY", Retry, "the other side is shutting down or restarting";
    Busy = 0x02, "BUSY", Retry, "the other side has no room at the moment";
    VersionUnsupported = 0x03, "VERSION_UNSUPPORTED", Person, "the two programs share no version of the link protocol, or one sent a message that the other must understand and does not";
    ProtocolError = 0x04, "PROTOCOL_ERROR", Person, "a message came where the protocol has no place for it";
    Malformed = 0x05, "MALFORMED", Park, "a message could not be decoded";
    UnknownType = 0x06, "UNKNOWN_TYPE", Park, "a stream began with a message that this version does not know";
    TooLarge = 0x07, "TOO_LARGE", Park, "a message or an object is larger than its bound";
    DigestMismatch = 0x08, "DIGEST_MISMATCH", Retry, "the bytes that arrived are not those that were announced";
    BadOffset = 0x09, "BAD_OFFSET", Retry, "the bytes do not begin where the receiver stopped";
    Truncated = 0x0a, "TRUNCATED", Retry, "the stream ended before its object was complete";
    Forbidden = 0x0b, "FORBIDDEN", Park, "this site may not do that";
    DuplicateSite = 0x0c, "DUPLICATE_SITE", Person, "another connection of this site is newer, or another machine uses its certificate";
    Revoked = 0x0d, "REVOKED", Person, "the certificate of this site was revoked";
    Expired = 0x0e, "EXPIRED", Person, "the certificate of this site has expired";
    SiteClosed = 0x0f, "SITE_CLOSED", Person, "the gateway knows no open site of this certificate";
    NotOpen = 0x10, "NOT_OPEN", Retry, "the study was not opened before its instances came";
    Recalled = 0x11, "RECALLED", Park, "the site has taken this study back";
    CodingUnknown = 0x12, "CODING_UNKNOWN", Park, "the bytes are coded in a way that this version does not know";
    Unreadable = 0x13, "UNREADABLE", Park, "the object is not a DICOM dataset that can be read";
    Internal = 0x14, "INTERNAL", Retry, "the other side failed; its log says why";
    Silent = 0x15, "SILENT", Retry, "the other side did not say what it had to say in time";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_numbers_read_back() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::of(u64::from(code.number())), Some(*code));
            for other in &Code::ALL[index + 1..] {
                assert_ne!(code.number(), other.number());
                assert_ne!(code.name(), other.name());
            }
        }
        assert_eq!(Code::of(0x7fff), None);
    }
}
