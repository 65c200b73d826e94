// Statuses: those that a task can have, and which of them need a look.

export const STATUSES = ["pending", "running", "completed", "partial", "failed", "exception", "timeout", "cancelled"];
export const FINAL = new Set(["completed", "partial", "failed", "exception", "timeout", "cancelled"]);
export const BAD = ["partial", "failed", "exception", "timeout"];
