//! Takes a request with many spans apart into requests with fewer. Pure.
//!
//! A piece repeats its spans' resource and scope. Where these outweigh the spans, pieces would take
//! up many times the memory of the request; such a request stays whole.

use super::wire::{Reader, Value, put_bytes, put_key, put_varint};

/// A piece and its number of spans.
pub type Piece = (Vec<u8>, u64);

/// `request` must have been checked: it is a valid one with `spans` spans.
pub fn split(request: Vec<u8>, spans: u64, most: u64) -> Vec<Piece> {
    if spans <= most {
        return vec![(request, spans)];
    }
    match pieces(&request, most.max(1)) {
        Some(pieces) => pieces,
        None => vec![(request, spans)],
    }
}

/// `None` when the pieces would take up more than twice the request.
fn pieces(request: &[u8], most: u64) -> Option<Vec<Piece>> {
    let room = request.len() * 2 + 1024;
    let (mut out, mut used) = (Vec::new(), 0);
    let mut piece = Build::default();
    for resource_spans in messages(request, 1) {
        let resource = without(resource_spans, 2);
        for scope_spans in messages(resource_spans, 2) {
            let scope = without(scope_spans, 2);
            for span in messages(scope_spans, 2) {
                if piece.spans == most {
                    used += piece.finish(&resource, &scope, &mut out);
                }
                put_bytes(&mut piece.scope_body, 2, span);
                piece.spans += 1;
                if used + piece.scope_body.len() + piece.resource_body.len() + piece.request.len()
                    > room
                {
                    return None;
                }
            }
            piece.end_scope(&scope);
        }
        piece.end_resource(&resource);
    }
    if piece.spans > 0 {
        let bytes = std::mem::take(&mut piece.request);
        used += bytes.len();
        out.push((bytes, piece.spans));
    }
    (used <= room).then_some(out)
}

/// A piece while it grows, from the inside out.
#[derive(Default)]
struct Build {
    request: Vec<u8>,
    resource_body: Vec<u8>,
    scope_body: Vec<u8>,
    spans: u64,
}

impl Build {
    fn end_scope(&mut self, scope: &[u8]) {
        if self.scope_body.is_empty() {
            return;
        }
        put_key(&mut self.resource_body, 2, 2);
        put_varint(
            &mut self.resource_body,
            (scope.len() + self.scope_body.len()) as u64,
        );
        self.resource_body.extend_from_slice(scope);
        self.resource_body.append(&mut self.scope_body);
    }

    fn end_resource(&mut self, resource: &[u8]) {
        if self.resource_body.is_empty() {
            return;
        }
        put_key(&mut self.request, 1, 2);
        put_varint(
            &mut self.request,
            (resource.len() + self.resource_body.len()) as u64,
        );
        self.request.extend_from_slice(resource);
        self.request.append(&mut self.resource_body);
    }

    fn finish(&mut self, resource: &[u8], scope: &[u8], out: &mut Vec<Piece>) -> usize {
        self.end_scope(scope);
        self.end_resource(resource);
        let bytes = std::mem::take(&mut self.request);
        let length = bytes.len();
        out.push((bytes, std::mem::take(&mut self.spans)));
        length
    }
}

/// The messages in the field `number` of a message that was checked.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        while let Ok(Some((found, value))) = reader.field() {
            if let (true, Value::Bytes(bytes)) = (found == number, value) {
                return Some(bytes);
            }
        }
        None
    })
}

/// All fields of a message but one, as they stand.
fn without(message: &[u8], number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = Reader::new(message);
    let mut begin = reader.at();
    while let Ok(Some((found, _))) = reader.field() {
        let end = reader.at();
        if found != number {
            out.extend_from_slice(&message[begin..end]);
        }
        begin = end;
    }
    out
}
