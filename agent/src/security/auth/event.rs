//! What a line of the authentication log tells.

use std::net::IpAddr;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    Ssh(Ssh<'a>),
    Sudo {
        user: &'a str,
        outcome: Sudo,
        /// `None` where the line can be read in two ways.
        target_is_root: Option<bool>,
    },
    Su {
        user: &'a str,
        allowed: bool,
        target_is_root: bool,
    },
    Account {
        change: Change,
        subject: &'a str,
    },
}

/// One thing that an SSH server tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh<'a> {
    pub kind: SshKind,
    pub user: Option<&'a str>,
    pub address: Address,
}

/// Where somebody came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Known(IpAddr),
    /// The line names none.
    None,
    /// The line can be read in more than one way: somebody put an address into a user name.
    Ambiguous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshKind {
    Accepted(Method),
    Failed(Method),
    /// The user does not exist; an attempt may follow or not.
    InvalidUser,
    /// A user that exists and may not log in.
    NotAllowed,
    TooManyAttempts,
    /// Gone before it was known who it is.
    Preauth,
    /// Not even talked to: too many at once (MaxStartups), or a penalty for what it did before.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Password,
    PublicKey,
    KeyboardInteractive,
    HostBased,
    Gssapi,
    None,
    Other,
}

impl Method {
    pub const ALL: [Self; 7] = [
        Self::Gssapi,
        Self::HostBased,
        Self::KeyboardInteractive,
        Self::None,
        Self::Other,
        Self::Password,
        Self::PublicKey,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::HostBased => "hostbased",
            Self::Gssapi => "gssapi",
            Self::None => "none",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sudo {
    Allowed,
    WrongPassword,
    NotInSudoers,
    NotAllowed,
    /// It needed a password and could not ask, and what else it says.
    Other,
}

impl Sudo {
    pub const ALL: [Self; 5] = [
        Self::Allowed,
        Self::NotAllowed,
        Self::NotInSudoers,
        Self::Other,
        Self::WrongPassword,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::WrongPassword => "wrong_password",
            Self::NotInSudoers => "not_in_sudoers",
            Self::NotAllowed => "not_allowed",
            Self::Other => "other_failure",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    UserAdded,
    UserRemoved,
    UserChanged,
    GroupAdded,
    GroupRemoved,
    GroupChanged,
    MemberAdded,
    MemberRemoved,
    PasswordChanged,
}

impl Change {
    pub const ALL: [Self; 9] = [
        Self::GroupAdded,
        Self::GroupChanged,
        Self::GroupRemoved,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::PasswordChanged,
        Self::UserAdded,
        Self::UserChanged,
        Self::UserRemoved,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserAdded => "user_added",
            Self::UserRemoved => "user_removed",
            Self::UserChanged => "user_changed",
            Self::GroupAdded => "group_added",
            Self::GroupRemoved => "group_removed",
            Self::GroupChanged => "group_changed",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
            Self::PasswordChanged => "password_changed",
        }
    }
}

/// What a program's message tells; `None` if nothing that is counted.
pub fn parse<'a>(program: &str, message: &'a str) -> Option<Event<'a>> {
    match program {
        "sshd" | "sshd-session" | "sshd-auth" => super::sshd::parse(message).map(Event::Ssh),
        "sudo" => super::sudo::sudo(message),
        "su" => super::sudo::su(message),
        "useradd" | "adduser" | "userdel" | "deluser" | "usermod" | "groupadd" | "addgroup"
        | "groupdel" | "delgroup" | "groupmod" | "gpasswd" | "passwd" | "chpasswd" | "chage"
        | "chsh" | "chfn" | "newusers" => super::accounts::parse(program, message),
        _ => None,
    }
}
