//! [`ResponseFuture`]: the answer on its way.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use idem_http::driver::Answer;
use pin_project_lite::pin_project;

use crate::ResponseBody;

type Guarded<R, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send>>;

pin_project! {
    /// The answer on its way: the handler's own future where the request is not protected.
    ///
    /// # Cancel safety
    /// Dropping it does not stop a protected handler, which runs on a task of its own.
    pub struct ResponseFuture<F, R, E> {
        #[pin]
        kind: Kind<F, R, E>,
    }
}

pin_project! {
    #[project = Projection]
    enum Kind<F, R, E> {
        Passing { #[pin] answer: F },
        Answered { answer: Option<Answer> },
        Guarded { answer: Guarded<R, E> },
    }
}

impl<F, R, E> ResponseFuture<F, R, E> {
    pub(crate) fn passing(answer: F) -> Self {
        Self {
            kind: Kind::Passing { answer },
        }
    }

    pub(crate) fn answered(answer: Answer) -> Self {
        Self {
            kind: Kind::Answered {
                answer: Some(answer),
            },
        }
    }

    pub(crate) fn guarded(
        answer: impl Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    ) -> Self {
        Self {
            kind: Kind::Guarded {
                answer: Box::pin(answer),
            },
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            Projection::Passing { answer } => {
                let response = ready!(answer.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::passed)))
            }
            Projection::Answered { answer } => {
                let answer = answer.take().expect("a future is not polled after its end");
                Poll::Ready(Ok(answer.map(ResponseBody::driven)))
            }
            Projection::Guarded { answer } => answer.as_mut().poll(cx),
        }
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "passing",
            Kind::Answered { .. } => "answered",
            Kind::Guarded { .. } => "guarded",
        };
        f.debug_tuple("ResponseFuture").field(&kind).finish()
    }
}
