//! Broadcast of batches to pages; a slow one lags and is counted.
