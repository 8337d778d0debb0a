"""The colours of masks and models in all pictures, charts and DICOM objects."""

REFERENCE_RGB, PREDICTION_RGB = (0, 180, 255), (255, 176, 0)
"""Contours on grey CT: blue for the reference, orange for the prediction. They differ for
colour-blind readers too."""

REFERENCE_COLOUR, PREDICTION_COLOUR = (
    "#{:02x}{:02x}{:02x}".format(*rgb) for rgb in (REFERENCE_RGB, PREDICTION_RGB)
)
"""The same as matplotlib takes them."""

OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Series of a chart on white. Colour-blind readers can distinguish them (Okabe and Ito 2008,
"Color Universal Design")."""
