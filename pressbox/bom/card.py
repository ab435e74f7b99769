"""The model card in a model's bill of materials.

CycloneDX's own library (11.12) has no words for it, so it is added here to what the library wrote.
https://cyclonedx.org/docs/1.6/json/#metadata_component_modelCard
"""

from collections.abc import Iterator

from pressbox.provenance.statement import ROW_BYTES, Facts, Statement

# The one class whose ways are known; others are a newsroom's own.
BUILT_IN = ("pressbox.classifier", "SportClassifier")


def completed(content: dict, facts: Facts, statement: Statement, kind: tuple[str, str]) -> dict:
    """The bill with the model's card, and with what is in its data.

    content: a JSON object whose components ``model`` and ``data`` are there. kind: module and name
    of the model's class.
    """
    component = content["metadata"]["component"]
    component["modelCard"] = {
        "modelParameters": _parameters(kind),
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(statement))},
        "considerations": _considerations(facts, statement),
    }
    (data,) = (each for each in content["components"] if each["bom-ref"] == "data")
    data["data"] = list(_datasets(statement))
    return content


def _parameters(kind: tuple[str, str]) -> dict:
    parameters = {
        "approach": {"type": "supervised"},
        "task": "text classification",
        "modelArchitecture": ".".join(kind),
        "datasets": [{"ref": "data"}],
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "label"}, {"format": "probability of each label"}],
    }
    if kind == BUILT_IN:
        parameters["architectureFamily"] = "logistic regression over tf-idf"
    return parameters


def _metrics(statement: Statement) -> Iterator[dict]:
    evaluation = statement.byproduct("evaluation") or {}
    intervals = evaluation.get("intervals", {})
    scores = {name: value for name, value in statement.metrics.items() if name != "rows"}
    for name, value in scores.items():
        metric: dict = {"type": _called(name), "value": str(value)}
        if name in intervals:
            low, high = intervals[name]
            metric["confidenceInterval"] = {"lowerBound": str(low), "upperBound": str(high)}
        yield metric
    if "expected_calibration_error" in evaluation:
        error = str(evaluation["expected_calibration_error"])
        yield {"type": "expected calibration error", "value": error}
    for label, told in evaluation.get("labels", {}).items():
        for name in ("precision", "recall", "f1"):
            yield {"type": _called(name), "slice": label, "value": str(told[name])}


def _called(metric: str) -> str:
    return metric.replace("_", " ").replace("f1", "F1")


def _considerations(facts: Facts, statement: Statement) -> dict:
    evaluation = statement.byproduct("evaluation") or {}
    limits = [f"It answers every text with one of these labels: {', '.join(facts.labels)}."]
    if unknown := evaluation.get("only_in_test"):
        limits.append(f"It was tested on labels that it does not know: {', '.join(unknown)}.")
    risks = [
        {
            "name": "Whoever has a text can see whether the model was trained or tested on it:"
            f" its statement holds {ROW_BYTES} bytes of each row's SHA-256.",
        }
    ]
    if mistakes := evaluation.get("mistakes"):
        risks.append(
            {
                "name": f"It holds the beginnings of {len(mistakes)} texts that it gets wrong.",
                "mitigationStrategy": "train with --no-page",
            }
        )
    considerations: dict = {"technicalLimitations": limits, "ethicalConsiderations": risks}
    if sure := evaluation.get("sure"):
        considerations["performanceTradeoffs"] = [
            f"Below a probability of {sure['threshold']} it is unsure. It is sure about"
            f" {sure['rows']} of the texts that it was tested on, and right about"
            f" {sure['right']} of these."
        ]
    return considerations


def _datasets(statement: Statement) -> Iterator[dict]:
    said = statement.annotations("data")
    for part, purpose in (("train", "training"), ("test", "evaluation")):
        if part in said:
            labels = said[part]["labels"]
            counts = ", ".join(f"{label} {count}" for label, count in labels.items())
            told = f"{sum(labels.values())} texts for {purpose}: {counts}"
            yield {"type": "dataset", "name": part, "description": told}
