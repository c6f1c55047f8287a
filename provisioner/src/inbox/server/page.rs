//! The page: three files compiled in, nothing loaded from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

pub async fn index() -> Response {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

pub async fn script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("page/app.js"),
    )
}

pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/style.css"))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}
