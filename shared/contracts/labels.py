"""The fixed words of a report in the languages that it can be written in. Pure."""

from dataclasses import dataclass

from shared.contracts.language import language_of


@dataclass(frozen=True)
class Labels:
    """Words of one language. In patterns `{n}` is a number, `{what}` what was sought, `{word}` a name,
    `{title}` and `{text}` a source and its own words."""

    digest: str = "Evidence digest (no model)"
    comparison: str = "Comparison"
    summary: str = "Summary"
    not_found: str = "Not found"
    sources: str = "Sources"
    quoted: str = "quoted"
    not_stated: str = "not stated"
    difference: str = "difference"
    what_it_is: str = "what it is"
    above: str = "Answered above; nothing more was found."
    nothing: str = "Nothing in this report could be supported by a source, so it says nothing and cites nothing."
    quotes: tuple[str, str] = ("{n} quote, all found verbatim in", "{n} quotes, all found verbatim in")
    citations: tuple[str, str] = ("{n} citation, {n} verified in", "{n} citations, {n} verified in")
    in_sources: tuple[str, str] = ("{n} source", "{n} sources")
    no_quotes: str = "0 quotes"
    authors: str = 'The authors of {title}: "{text}"'
    removed: tuple[str, str] = ("{n} sentence removed", "{n} sentences removed")
    documents: tuple[str, str] = ("{n} document", "{n} documents")
    unmentioned: str = 'no passage in {documents} mentions "{word}"'
    unanswered: str = "{documents} searched, none of the {n} nearest passages answers: {what}"
    unmatched: str = "no passage in {documents} matches: {what}"
    no_corpus: str = "the goal names no corpus, and nothing was remembered that answers: {what}"
    unsupported: str = "nothing that a quote supports: {what}"
    foreign: str = (
        "The question is in none of the languages that a report knows (English, German, French, Spanish): the report's "
        "own words are in English, and its checks know the language less well."
    )


LABELS = {
    "en": Labels(),
    "de": Labels(
        digest="Belegsammlung (ohne Modell)",
        comparison="Vergleich",
        summary="Zusammenfassung",
        not_found="Nicht gefunden",
        sources="Quellen",
        quoted="zitiert",
        not_stated="nicht angegeben",
        difference="Unterschied",
        what_it_is="was es ist",
        above="Oben beantwortet; mehr wurde nicht gefunden.",
        nothing="Nichts in diesem Bericht ließ sich belegen; darum sagt er nichts und zitiert nichts.",
        quotes=("{n} Zitat, wörtlich gefunden in", "{n} Zitate, alle wörtlich gefunden in"),
        citations=("{n} Beleg, {n} geprüft in", "{n} Belege, {n} geprüft in"),
        in_sources=("{n} Quelle", "{n} Quellen"),
        no_quotes="0 Zitate",
        authors='Die Autoren von {title}: "{text}"',
        removed=("{n} Satz entfernt", "{n} Sätze entfernt"),
        documents=("{n} Dokument", "{n} Dokumenten"),
        unmentioned="keine Stelle in {documents} nennt „{word}“",
        unanswered="in {documents} gesucht, keine der {n} nächsten Stellen beantwortet: {what}",
        unmatched="keine Stelle in {documents} passt zu: {what}",
        no_corpus="das Ziel nennt keinen Korpus, und nichts Erinnertes beantwortet: {what}",
        unsupported="nichts, was ein Zitat belegt: {what}",
    ),
    "fr": Labels(
        digest="Recueil de preuves (sans modèle)",
        comparison="Comparaison",
        summary="Résumé",
        not_found="Non trouvé",
        sources="Références",
        quoted="cité",
        not_stated="non indiqué",
        difference="différence",
        what_it_is="ce que c'est",
        above="Répondu plus haut ; rien d'autre n'a été trouvé.",
        nothing="Rien dans ce rapport n'a pu être étayé ; il ne dit donc rien et ne cite rien.",
        quotes=("{n} citation, trouvée mot pour mot dans", "{n} citations, toutes trouvées mot pour mot dans"),
        citations=("{n} référence, {n} vérifiée dans", "{n} références, {n} vérifiées dans"),
        in_sources=("{n} source", "{n} sources"),
        no_quotes="0 citation",
        authors='Les auteurs de {title} : "{text}"',
        removed=("{n} phrase retirée", "{n} phrases retirées"),
        documents=("{n} document", "{n} documents"),
        unmentioned="aucun passage dans {documents} ne mentionne « {word} »",
        unanswered="cherché dans {documents}, aucun des {n} passages les plus proches ne répond à : {what}",
        unmatched="aucun passage dans {documents} ne correspond à : {what}",
        no_corpus="l'objectif ne nomme aucun corpus, et rien de mémorisé ne répond à : {what}",
        unsupported="rien qu'une citation étaye : {what}",
    ),
    "es": Labels(
        digest="Recopilación de pruebas (sin modelo)",
        comparison="Comparación",
        summary="Resumen",
        not_found="No encontrado",
        sources="Fuentes",
        quoted="citado",
        not_stated="no se indica",
        difference="diferencia",
        what_it_is="qué es",
        above="Respondido arriba; no se encontró nada más.",
        nothing="Nada en este informe pudo respaldarse; por eso no dice nada ni cita nada.",
        quotes=("{n} cita, encontrada literalmente en", "{n} citas, todas encontradas literalmente en"),
        citations=("{n} referencia, {n} verificada en", "{n} referencias, {n} verificadas en"),
        in_sources=("{n} fuente", "{n} fuentes"),
        no_quotes="0 citas",
        authors='Los autores de {title}: "{text}"',
        removed=("{n} frase retirada", "{n} frases retiradas"),
        documents=("{n} documento", "{n} documentos"),
        unmentioned="ningún pasaje en {documents} menciona «{word}»",
        unanswered="se buscó en {documents}, ninguno de los {n} pasajes más cercanos responde a: {what}",
        unmatched="ningún pasaje en {documents} corresponde a: {what}",
        no_corpus="el objetivo no nombra ningún corpus, y nada recordado responde a: {what}",
        unsupported="nada que una cita respalde: {what}",
    ),
}


def labels_for(question: str) -> Labels:
    """The words for a report on this question."""
    return LABELS[language_of(question)]


def counted(forms: tuple[str, str], number: int) -> str:
    """`1 source`, `2 sources`."""
    return forms[number != 1].format(n=number)
