# The same packages as most would install them: one stage, Debian's as they are today, Poetry beside them, pip.
# bench.sh --cold builds it in the same run as the image, which may take no longer.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ENV PATH=/opt/venv/bin:/usr/bin:/bin \
	SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update && \
	apt-get install -y --no-install-recommends ca-certificates gcc git gnupg less libgpgme-dev openssh-client procps python3 \
	python3-dev python3-gpg python3-venv swig && \
	rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --system-site-packages /opt/venv && pip install --no-cache-dir poetry poetry-plugin-export
COPY pyproject.toml poetry.lock /workspaces/pressbox/
COPY third_party /workspaces/pressbox/third_party
WORKDIR /workspaces/pressbox
# poetry install asks the index for what many a company's mirror does not serve.
RUN poetry export --with dev --output /tmp/all.txt && \
	grep -v '^special-k @ ' /tmp/all.txt >/tmp/wheels.txt && \
	pip install --no-cache-dir --require-hashes --requirement /tmp/wheels.txt && \
	pip install --no-cache-dir --no-deps ./third_party/special_k
CMD ["bash"]
