//! How serde reads the parts of a body that are looked into.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Message, Params, Peeked, Reference, Subscribed};
use crate::mcp::members::{Fault, Members, members};
use crate::mcp::unreadable::Unreadable;

/// The most messages in a batch.
const MAX_MESSAGES: usize = 1_000;

/// The most URIs, or tasks, in one `subscriptions/listen`.
const MAX_SUBSCRIPTIONS: usize = 10_000;

members!(
    /// Members of `params`. Those that most calls have stand here too, so that noting them costs
    /// nothing.
    Param {
        Name = "name",
        Arguments = "arguments",
        Meta = "_meta",
        Uri = "uri",
        TaskId = "taskId",
        Task = "task",
        Reference = "ref",
        Notifications = "notifications",
    }
);

members!(
    /// Members of `params.ref`.
    Ref {
        Sort = "type",
        Name = "name",
        Uri = "uri",
    }
);

members!(
    /// Members of `params.notifications`.
    Notification {
        Subscriptions = "resourceSubscriptions",
        Tasks = "taskIds",
    }
);

/// Writes what every seed here has in common.
macro_rules! seed {
    ($seed:ty => $value:ty, $expecting:literal, { $($visits:item)+ }) => {
        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<$value, D::Error> {
                json.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            $($visits)+
        }
    };
}

pub(super) struct Body<'f>(pub(super) &'f Fault);

seed!(Body<'_> => Peeked<'de>, "a message or a batch", {
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Peeked<'de>, A::Error> {
        Message::read(map, self.0).map(Peeked::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Peeked<'de>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = seq.next_element_seed(Entry(self.0))? {
            if messages.len() == MAX_MESSAGES {
                return Err(self.0.raise(Unreadable::TooMany));
            }
            messages.push(message);
        }
        if messages.is_empty() {
            return Err(self.0.raise(Unreadable::EmptyBatch));
        }
        Ok(Peeked::Batch(messages))
    }
});

struct Entry<'f>(&'f Fault);

seed!(Entry<'_> => Message<'de>, "a message", {
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Message<'de>, A::Error> {
        Message::read(map, self.0)
    }
});

pub(super) struct Text;

seed!(Text => Option<Cow<'de, str>>, "a string", {
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
});

pub(super) struct ParamsOf<'f>(pub(super) &'f Fault);

// An array would be parameters by position, which MCP does not have.
seed!(ParamsOf<'_> => Params<'de>, "an object", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params<'de>, A::Error> {
        let mut members = Members::<Param>::new(self.0);
        let mut params = Params::default();
        while let Some(member) = members.next(&mut map)? {
            match member {
                Param::Name => params.name = map.next_value_seed(Text)?,
                Param::Uri => params.uri = map.next_value_seed(Text)?,
                Param::TaskId => params.task_id = map.next_value_seed(Text)?,
                Param::Reference => params.reference = map.next_value_seed(ReferenceOf(self.0))?,
                Param::Notifications => {
                    params.subscriptions = map.next_value_seed(NotificationsOf(self.0))?;
                }
                Param::Meta => params.meta = Some(map.next_value()?),
                Param::Task => {
                    map.next_value::<IgnoredAny>()?;
                    params.asks_for_task = true;
                }
                Param::Arguments => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(params)
    }

    fn visit_unit<E: Error>(self) -> Result<Params<'de>, E> {
        Ok(Params::default())
    }
});

struct ReferenceOf<'f>(&'f Fault);

seed!(ReferenceOf<'_> => Option<Box<Reference<'de>>>, "an object", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::<Ref>::new(self.0);
        let mut reference = Box::<Reference<'_>>::default();
        while let Some(member) = members.next(&mut map)? {
            match member {
                Ref::Sort => reference.sort = map.next_value_seed(Text)?,
                Ref::Name => reference.name = map.next_value_seed(Text)?,
                Ref::Uri => reference.uri = map.next_value_seed(Text)?,
            }
        }
        Ok(Some(reference))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
});

struct NotificationsOf<'f>(&'f Fault);

seed!(NotificationsOf<'_> => Subscribed<'de>, "an object", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::<Notification>::new(self.0);
        let mut subscribed = Subscribed::default();
        while let Some(member) = members.next(&mut map)? {
            let listed = map.next_value_seed(Subscriptions(self.0))?;
            match member {
                Notification::Subscriptions => subscribed.uris = listed,
                Notification::Tasks => subscribed.tasks = listed,
            }
        }
        Ok(subscribed)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Subscribed::default())
    }
});

struct Subscriptions<'f>(&'f Fault);

seed!(Subscriptions<'_> => Vec<Cow<'de, str>>, "an array of names", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut uris = Vec::new();
        while let Some(uri) = seq.next_element_seed(Text)? {
            if uris.len() == MAX_SUBSCRIPTIONS {
                return Err(self.0.raise(Unreadable::TooMany));
            }
            uris.push(uri.ok_or_else(|| self.0.raise(Unreadable::WrongType))?);
        }
        Ok(uris)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
});
