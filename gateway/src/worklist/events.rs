//! What has changed, told to open pages and waiting rooms. Only a hint: whoever listens also polls.

use tokio::sync::broadcast;

/// Something that open pages want to know. Nothing is told to everybody: whoever listens asks first whether the case exists for him,
/// and takes it that lists with a case that changed have changed too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One case has changed.
    Case(String),
}

/// The cases that a transaction changed; announced after it has been committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "open pages learn of the change only when it is announced after the commit"]
pub struct Changed {
    /// Identifiers of the cases.
    pub cases: Vec<String>,
}

impl Changed {
    /// One case.
    pub fn one(case: &str) -> Self {
        Self {
            cases: vec![case.to_owned()],
        }
    }
}

/// Where changes are announced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(1024))
    }
}

impl Events {
    /// Tells everybody who listens.
    pub fn announce(&self, changed: &Changed) {
        for case in &changed.cases {
            self.send(Event::Case(case.clone()));
        }
    }

    /// Listens from now on. A listener that is too slow loses the oldest and is told so.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    fn send(&self, event: Event) {
        // nobody listening is no error
        drop(self.0.send(event));
    }
}
