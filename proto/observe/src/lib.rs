//! What both programs need to be seen from outside: whether they take work ([`Readiness`]), and alarms that leave the building (practice.md
//! P19). A program says what it finds and since when; here it
//! is judged against the bounds of the rules, remembered, told, told again until a person acknowledges it, and told once more when it is over.
//!
//! Nothing that names a patient can be told: what an alarm is about is a case code, a site or a part of the program ([`About`]), and its
//! sentence is made of words of the rules and of numbers.
//!
//! | phase | when |
//! |---|---|
//! | raised | it has stood for as long as its rule allows; or it has become twice as much since it was told, or `again_every_s` after that any more |
//! | again | it stands still, `again_every_s` after it was told last, and nobody has acknowledged it |
//! | raised or again | what was told last was taken by no channel, and waits for none: they have given it up, or the process has ended |
//! | over | it had been raised, and is no more |
//! | test | somebody tries the channels |
//!
//! What needs no rows is looked at and told first; each question of the rows has a bound, and one that is not answered is an alarm.
//!
//! A channel has a queue and a worker of its own. A try that has not succeeded after ten seconds has failed; it is tried again five times, with
//! pauses; then it is given up, which is logged and shown. Nothing else waits for any of this.

mod book;
mod channel;
mod config;
mod kept;
mod ready;
mod rule;
mod since;
mod teller;
mod telling;
mod watch;

pub use book::{Acknowledged, Book, Entry, Judged};
pub use channel::{Channel, ChannelError};
pub use config::{Bounds, Command, Config, Mail, MailTls, Syslog, Transport, Tuning, Webhook};
pub use kept::{GONE, KEEP, KNOWN, Row, STANDING};
pub use ready::{Cause, Found, Probe, Readiness};
pub use rule::{About, Finding, Looked, Rule};
pub use since::{Head, Holding, Since};
pub use teller::{ChannelState, Outcome, Teller, test};
pub use telling::{Phase, Source, Telling};
pub use watch::{Asking, LISTED, Program, Watch};
