//! How both programs serve HTTP: how many connections there may be and what the share of one address is, for how long each may hold its
//! place without asking, sending or taking anything, and what a request may measure. How much strangers may write into the log
//! ([`Lines`]) holds for the doors that are not HTTP's too.
//!
//! | what comes | what is answered |
//! |---|---|
//! | no complete request within `head_timeout_s` of the connection, none within `idle_timeout_s` of the last answer | the connection ends |
//! | more connections than there are places | of those who hold more than their share whoever asks nothing or keeps us waiting for longest gives way, or else who has asked nothing for two seconds since he came, or else of those with more than their share the first that came; then whoever waits for longest of all; where all are being answered and nobody has more than his share, the new one is closed |
//! | a head of more than 32 KiB or 100 fields | 431 |
//! | a target of more than 8 KiB | 414 |
//! | `TRACE`, `CONNECT` | 405 |
//! | a body with a `Content-Encoding` | 415 |
//! | a body that is not there after `body_timeout_s` | an error in the body, [`is_late`]: 408 by whoever reads it |
//! | an answer of which the next 64 KiB are not taken within `untaken_timeout_s` | the connection ends |
//! | HTTP/2: streams reset as fast as they are opened, `CONTINUATION` or empty `DATA` without end | GOAWAY `ENHANCE_YOUR_CALM` |

mod bounds;
mod lines;
mod near;
mod places;
mod request;
mod serve;
mod stream;

pub use bounds::{Bounds, raise_open_files};
pub use lines::Lines;
pub use near::Near;
pub use request::{Refusal, Refuse, is_late};
pub use serve::serve;
