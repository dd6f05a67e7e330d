# The encoder's image with a model in it, where the chart looks for one (encoder.modelPath).
ARG ENCODER
FROM ${ENCODER}
COPY model /home/bentoml/bento/model
