"""Operations: the verbs. Every write of a task's record goes through here."""
