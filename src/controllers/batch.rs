//! Work in growing batches: a quota that is used up, or a template that is refused, costs few requests and few events.

use futures_util::future::join_all;
use std::future::Future;

/// Works on one item at first, then on twice as many each time, until a batch in which one fails: that failure is the
/// result, and what follows is left undone.
pub async fn slow_start<T, E, F: Future<Output = Result<(), E>>>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<(), E> {
    let mut items = items.into_iter();
    let mut size = 1;
    loop {
        let batch: Vec<F> = items.by_ref().take(size).map(&work).collect();
        if batch.is_empty() {
            return Ok(());
        }
        join_all(batch).await.into_iter().collect::<Result<(), E>>()?;
        size *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test]
    async fn a_failure_ends_the_work_after_its_batch() {
        for (fails, expected) in [(None, 20), (Some(0), 1), (Some(3), 7), (Some(7), 15)] {
            let done = RefCell::new(Vec::new());
            let result = slow_start(0..20, |item| {
                done.borrow_mut().push(item);
                std::future::ready(if Some(item) == fails { Err(item) } else { Ok(()) })
            })
            .await;
            assert_eq!(result.err(), fails);
            assert_eq!(done.into_inner().len(), expected, "{fails:?}");
        }
    }
}
