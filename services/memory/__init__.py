"""Memory: owns the library (texts, passages, corpora) and the findings of finished goals.

Hears OfferDocuments, PutChunk, FinishTransfer, ListCorpora, RemoveCorpus, OpenCorpora, Search, ReadSpans, ReadDocument,
Remember, Recall, ListFindings, Forget. Says TransferProgress, and answers. Remembers all of it; bounded (`upkeep.py`).
"""
