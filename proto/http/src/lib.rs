//! How both programs serve HTTP: how many connections there may be and what the share of one address is, for how long each may hold its
//! place without asking, sending or taking anything, and what a request may measure.
//!
//! | what comes | what is answered |
//! |---|---|
//! | no complete request within `head_timeout_s` of the connection, none within `idle_timeout_s` of the last answer | the connection ends |
//! | more connections than there are places | of those who hold more than their share whoever asks nothing or keeps us waiting for longest gives way, or else the first that came; then whoever does so of all; where all are being answered and nobody has more than his share, the new one is closed |
//! | a head of more than 32 KiB or 100 fields | 431 |
//! | a target of more than 8 KiB | 414 |
//! | `TRACE`, `CONNECT` | 405 |
//! | a body with a `Content-Encoding` | 415 |
//! | a body that is not there after `body_timeout_s` | an error in the body, [`is_late`]: 408 by whoever reads it |
//! | an answer of which the next 64 KiB are not taken within `untaken_timeout_s` | the connection ends |
//! | HTTP/2: streams reset as fast as they are opened, `CONTINUATION` or empty `DATA` without end | GOAWAY `ENHANCE_YOUR_CALM` |

mod bounds;
mod places;
mod request;
mod serve;
mod stream;

pub use bounds::{Bounds, raise_open_files};
pub use request::{Refusal, Refuse, is_late};
pub use serve::serve;
