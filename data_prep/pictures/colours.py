"""The colours of masks and models in all pictures and charts."""

REFERENCE_COLOUR, PREDICTION_COLOUR = "#00b4ff", "#ffb000"
"""Contours on grey CT: blue for the reference, orange for the prediction. They differ for
colour-blind readers too."""

OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Series of a chart on white. Colour-blind readers can distinguish them (Okabe and Ito 2008,
"Color Universal Design")."""
