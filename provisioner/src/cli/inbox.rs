//! `kai-observe inbox`: placeholder
use super::Stop;
use super::args::{Common, InboxArgs};
use super::ui::Ui;
pub async fn run(_: &InboxArgs, _: &Common, _: &Ui) -> Result<u8, Stop> { Ok(0) }
