// One plate of single-cell measurements into one profile, by `cytobatch run`. Nextflow records its runs itself, so that
// Prefect is left out. `task.ext.args` has further options: '--well-profiles median --max-failed-exports 3'.
process CYTOBATCH {
    tag "${meta.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container 'cytobatch:0.1.0'

    input:
    tuple val(meta), path(measurements)
    path platemap, stageAs: 'platemap/*'

    output:
    tuple val(meta), path("${prefix}.parquet")         , emit: profile
    tuple val(meta), path("${prefix}.profiles.parquet"), emit: well_profiles, optional: true
    tuple val(meta), path("${prefix}.run-report.json") , emit: report
    tuple val(meta), path("${prefix}.report.html")     , emit: page
    path 'versions.yml'                                , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    def wells = platemap ? "--platemap '${platemap}'" : ''
    def memory = task.memory ? "--memory ${task.memory.toBytes()}" : ''
    """
    cytobatch run \\
        --source '${measurements}' \\
        --destination '${prefix}.parquet' \\
        --plate '${meta.id}' \\
        --orchestrator none \\
        --workers ${task.cpus} \\
        --scratch-dir "\${TMPDIR:-.}" \\
        ${memory} ${wells} ${args}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cytobatch: \$(cytobatch --version)
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.parquet' '${prefix}.run-report.json' '${prefix}.report.html'

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cytobatch: \$(cytobatch --version)
    END_VERSIONS
    """
}
